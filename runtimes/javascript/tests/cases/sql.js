import sandmill, { resource, sql, SqlError } from "sandmill";

export async function main() {
  const db = sql("f/demo/db");
  const rows = db.query("SELECT $1", [1, "two", null, undefined, 12345678901234567890n, new Date(0), new Uint8Array([255, 0]), Number.NaN, -Infinity, { deep: [true] }]);
  const none = sql(resource.open("f/demo/db")).query("SELECT 1");
  const written = db.execute("UPDATE things SET n = $1", [7]);
  const result = db.transaction((tx) => {
    tx.execute("INSERT $1", ["a"]);
    return tx.query("SELECT 2", [2])[0].statement;
  });
  const later = await db.transaction(async (tx) => {
    await null;
    return tx.execute("INSERT $1", ["b"]);
  });
  return { same: sandmill.sql === sql, rows, columns: rows.columns, isArray: Array.isArray(rows), keys: Object.keys(rows), none: none[0].parameters, written, result, later };
}
