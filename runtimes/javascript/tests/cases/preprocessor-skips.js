export const preprocessor = () => null;
export const main = () => 1;
