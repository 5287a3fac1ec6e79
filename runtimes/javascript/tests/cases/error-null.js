export const main = () => { throw null; };
