export const preprocessor = () => [1];
export const main = () => 1;
