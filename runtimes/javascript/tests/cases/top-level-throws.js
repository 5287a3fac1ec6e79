const table = {};
table.missing.field = 1;
export const main = () => 1;
