export const main = () => { throw "just text"; };
