const x = 1;
const x = 2;
export function main() { return x; }
await 1; break;
