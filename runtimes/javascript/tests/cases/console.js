class Point { constructor() { this.x = 1; } }
export function main() {
  console.log("plain", 1, -0, 5n, null, undefined, true, Symbol("s"));
  console.info("%s is %d years and %i, %f, %j %o %%", "Ada", 36, 4.7, "1.5", { a: 1 }, [1], "rest");
  console.debug({ a: 1, "b-c": "x", nested: { deep: { deeper: { deepest: 1 } } }, f() {}, g: class A {} });
  console.warn([1, , 3], [], {}, new Point(), Object.create(null), "it's");
  console.error(new Map([["k", { v: 1 }]]), new Set([1, "two"]), new Date(0), /x/g, new Uint8Array(2));
  const loop = { name: "loop" };
  loop.self = loop;
  console.log(loop);
  console.log(["it's", 'say "hi"', "new\nline"]);
  console.log("x".repeat(60), { text: "y".repeat(30), more: "z".repeat(50) });
  console.group("outer");
  console.log("inner\nlines");
  console.groupEnd();
  console.count();
  console.count();
  console.assert(1 === 2, "math %s", "holds");
  console.assert(true, "silent");
  console.table([{ a: 1, b: "x" }, { a: 2 }]);
  console.log(new Array(200).fill(0).length, { get x() { return 1; } }, [new Error("e").message]);
}
