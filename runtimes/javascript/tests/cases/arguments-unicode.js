export const main = (text) => [text, text.length];
