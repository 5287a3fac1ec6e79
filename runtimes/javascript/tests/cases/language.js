class Counter { #n = 0; static made = 0; get n() { return this.#n; } up() { this.#n += 1; return this; } static { Counter.made = 1; } }
export async function main() {
  const { a, ...rest } = { a: 1, b: 2 };
  async function* numbers() { yield* [1, 2]; }
  const seen = [];
  for await (const n of numbers()) seen.push(n);
  const grouped = Object.groupBy([1, 2, 3], (n) => (n % 2 ? "odd" : "even"));
  return [rest, seen, new Counter().up().n, Counter.made, 2n ** 64n > 1n, "aXb".replaceAll("X", "-"), [3, 1, 2].toSorted(), grouped, null ?? "d", /(?<year>\d+)/.exec("in 2026").groups.year, [1, [2]].flat().at(-1), "ẞ".normalize("NFD").length, new Intl_().has];
}
class Intl_ { has = typeof Intl; }
