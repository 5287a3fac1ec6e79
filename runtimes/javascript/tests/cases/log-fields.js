import { log } from "sandmill";
export function main() {
  const cyclic = { name: "c", list: [] };
  cyclic.list.push(cyclic, { again: cyclic.list });
  const shared = { s: 1 };
  log.warn("bigint", { a: 1n, deep: [{ b: -(2n ** 64n) }] });
  log.info("cycles", cyclic);
  log.info("shared is no cycle", { a: shared, b: shared });
  log.info("others", { f: main, s: Symbol("x"), n: NaN, i: -Infinity, u: undefined, m: new Map([[1, 2n]]), d: new Date(0), r: /x/g });
  log.info("throws", { fine: 1, get bad() { throw new Error("no"); }, worse: { toJSON() { throw 1; } } });
  let nested = 1n;
  for (let i = 0; i < 100_000; i++) nested = [nested];
  log.info("nested", { nested, after: 1 });
  log.info("no object", 5n);
  log.info("null", null);
  log.info({ message: Object.create(null) });
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  log.info("revoked", revoked.proxy);
  return "done";
}
