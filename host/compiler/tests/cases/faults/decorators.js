const d = () => {};
class A { @d m() {} }
export function main() { return A; }
