export const main = other;
const other = another;
const another = () => 1;
