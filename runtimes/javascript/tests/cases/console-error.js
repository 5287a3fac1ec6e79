export function main() {
  console.error(new TypeError("bad", { cause: "root" }));
  console.trace("here");
}
