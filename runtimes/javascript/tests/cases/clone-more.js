export function main() {
  const map = new Map();
  map.set(map, new Set([map, "x"]));
  const copy = structuredClone(map);
  const shared = { n: 1 };
  const pair = structuredClone([shared, shared]);
  const date = structuredClone(new Date(NaN));
  const view = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  const cloned = structuredClone({ view, same: view.buffer });
  class Point { constructor() { this.x = 1; } get y() { return 2; } }
  const point = structuredClone(new Point());
  const cause = structuredClone(new RangeError("r", { cause: new Error("c") }));
  const sparse = structuredClone(Object.assign([1, , 3], { extra: true }));
  const names = [() => {}, Symbol("s"), new WeakMap(), Promise.resolve()].map((value) => {
    try { structuredClone({ value }); } catch (error) { return [error.name, error.code, error instanceof DOMException]; }
  });
  return {
    map: [copy !== map, copy.has(copy), copy.get(copy).has(copy), copy.get(copy).has("x")],
    shared: [pair[0] === pair[1], pair[0] !== shared],
    date: [date instanceof Date, Number.isNaN(date.getTime())],
    view: [[...cloned.view], cloned.view.byteOffset, cloned.view.buffer === cloned.same, cloned.same !== view.buffer],
    point: [point instanceof Point, point.x, point.y === undefined],
    error: [cause instanceof RangeError, cause.message, cause.cause.message],
    sparse: [sparse.length, 1 in sparse, sparse.extra],
    bigint: structuredClone(1n) === 1n,
    boxed: typeof structuredClone(Object("s")),
    nothing: structuredClone(undefined) === undefined,
    names,
  };
}
