import { blob, log } from "sandmill";

/**
 * Writes the report of a day.
 * @param day For which, e.g. 2026-01-31
 */
export async function main(day: string) {
  const key = `nightly/${day}.txt`;
  await blob.put(key, `Nothing happened on ${day}.\n`, { contentType: "text/plain" });
  log.info("the report is written", { key });
  return { key, size: (await blob.get(key))!.size };
}
