class A { accessor x = 1 }
export function main() { return A; }
