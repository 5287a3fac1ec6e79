export function main() {
  throw new Proxy(new Error("x"), { get() { throw new Error("no"); }, getPrototypeOf() { throw new Error("no"); } });
}
