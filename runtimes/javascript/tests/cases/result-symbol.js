export const main = async () => Symbol("x");
