await new Promise(() => {});
export const main = () => 1;
