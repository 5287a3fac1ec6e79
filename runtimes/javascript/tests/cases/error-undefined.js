export const main = () => Promise.reject();
