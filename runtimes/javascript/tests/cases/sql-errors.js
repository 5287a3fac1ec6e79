import { ResourceError, sql, SqlError } from "sandmill";

const told = (call) => {
  try {
    return call();
  } catch (error) {
    return { name: error.name, code: error.code, message: error.message, database: error.database, own: error instanceof SqlError || error instanceof ResourceError };
  }
};

export async function main() {
  const db = sql("f/demo/db");
  let kept;
  const thrown = told(() => db.transaction((tx) => { kept = tx; tx.execute("INSERT", []); throw new RangeError("changed my mind"); }));
  const rejected = await db.transaction(async (tx) => { await null; tx.query("FAIL"); }).catch((error) => [error.name, error.code]);
  return {
    database: told(() => db.query("FAIL")),
    slow: told(() => db.query("SLOW")),
    many: told(() => db.query("MANY")),
    execute: told(() => db.execute("FAIL")).code,
    noDatabase: told(() => sql("f/demo/account").query("SELECT 1")),
    unknown: told(() => sql("f/demo/none")),
    denied: told(() => sql("f/demo/denied")).code,
    thrown,
    rejected,
    ended: [told(() => kept.query("SELECT 1")), told(() => kept.execute("SELECT 1")).code],
    noArray: told(() => db.query("SELECT $1", "x")),
    noValue: told(() => db.query("SELECT $1", [() => 1])),
    noFunction: told(() => db.transaction("SELECT")),
  };
}
