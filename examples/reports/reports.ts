import { blob } from "sandmill";

const encoder = new TextEncoder();

/** Lines of a table, made one after the other: the report is never in memory as a whole. */
async function* lines(days: number) {
  yield encoder.encode("day,orders\n");
  for (let day = 1; day <= days; day++) {
    yield encoder.encode(`${day},${(day * 7919) % 100}\n`);
  }
}

/** Writes a report of so many days and reads it back. */
export async function main(name: string, days: number = 7) {
  const key = `example-reports/${name}.csv`;
  await blob.put(key, ReadableStream.from(lines(days)), { contentType: "text/csv" });
  const report = (await blob.get(key))!;
  const text = await report.text();
  const names = [];
  for await (const { key } of blob.list("example-reports/")) {
    names.push(key);
  }
  return { size: report.size, type: report.contentType, orders: sum(text), reports: names };
}

function sum(csv: string): number {
  return csv
    .trim()
    .split("\n")
    .slice(1)
    .reduce((total, line) => total + Number(line.split(",")[1]), 0);
}
