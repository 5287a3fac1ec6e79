// Pages follow each other, and readers that nobody has any more are given back.
import { blob } from "sandmill";

export async function main() {
  for (let n = 0; n < 1500; n++) await blob.put(`reports/${String(n).padStart(4, "0")}`, String(n));
  const keys = [];
  for await (const { key } of blob.list("reports/")) keys.push(key);
  const some = [];
  for await (const { key } of blob.list("reports/", { limit: 1100 })) some.push(key);
  for (let n = 0; n < 5000; n++) await blob.get("reports/0000");
  return [keys.length, keys.at(-1), some.length, some.at(-1)];
}
