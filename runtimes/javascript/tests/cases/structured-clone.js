export function main() {
  const original = { date: new Date(5), map: new Map([[{ k: 1 }, new Set([1])]]), bytes: new Uint8Array([1, 2]), error: new TypeError("e"), re: /x/gi, list: [1, , 3] };
  original.self = original;
  const copy = structuredClone(original);
  let refused;
  try { structuredClone({ f() {} }); } catch (error) { refused = error.name; }
  const buffer = new ArrayBuffer(4);
  const moved = structuredClone(buffer, { transfer: [buffer] });
  return [copy !== original, copy.self === copy, copy.date.getTime(), [...copy.map.values()][0].has(1), [...copy.bytes], copy.error instanceof TypeError, String(copy.re), 1 in copy.list, refused, buffer.byteLength, moved.byteLength];
}
