export const main = () => new Promise(() => {});
