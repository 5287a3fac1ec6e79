export const main = () => ({ n: 10n });
