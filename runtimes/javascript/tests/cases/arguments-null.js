export const main = (count = 3) => count;
