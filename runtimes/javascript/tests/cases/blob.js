import sandmill, { blob } from "sandmill";

const collect = async (items) => {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
};

export async function main() {
  const put = [
    await blob.put("reports/text", "h\u00e9", { contentType: "text/plain" }),
    await blob.put("reports/bytes", new Uint8Array([0, 1, 2, 3]).subarray(1, 3)),
    await blob.put("reports/blob", new Blob(["b"], { type: "image/png" })),
    await blob.put("reports/own", new Blob(["b"], { type: "image/png" }), { contentType: "image/x-own" }),
    await blob.put("reports/stream", ReadableStream.from(["{\"n\":", new TextEncoder().encode("1}")])),
  ];
  const large = new Uint8Array(2_500_000).map((_, at) => at % 251);
  await blob.put("reports/large", large);
  const text = await blob.get("reports/text");
  const { key, size, modified, contentType } = text;
  const back = await (await blob.get("reports/large")).bytes();
  const pieces = await collect((await blob.get("reports/large")).stream());
  const copied = await blob.put("reports/copy", (await blob.get("reports/large")).stream());
  const byob = (await blob.get("reports/bytes")).stream().getReader({ mode: "byob" });
  const read = [...(await byob.read(new Uint8Array(8))).value];
  const end = (await byob.read(new Uint8Array(8))).done;
  const statted = await blob.stat("reports/bytes");
  await blob.delete("reports/bytes");
  await blob.delete("reports/bytes");
  return {
    same: sandmill.blob === blob,
    put: put.map(({ key, size, contentType }) => [key, size, contentType]),
    found: [key, size, modified.toISOString(), contentType, await text.text()],
    twice: await text.bytes().catch((error) => [error.name, error.message]),
    json: await (await blob.get("reports/stream")).json(),
    back: back.length === large.length && back.every((byte, at) => byte === large[at]),
    pieces: [pieces.length > 1, pieces.reduce((sum, piece) => sum + piece.length, 0)],
    copied: copied.size,
    read, end,
    stat: [statted.size, statted.modified instanceof Date, await blob.stat("reports/bytes"), await blob.get("reports/none")].map((value) => value ?? "none"),
    empty: [(await blob.put("reports/empty", "")).size, (await (await blob.get("reports/empty")).bytes()).length],
    listed: (await collect(blob.list("reports/"))).map(({ key }) => key),
    after: (await collect(blob.list("reports/", { after: "reports/large", limit: 2 }))).map(({ key, size }) => [key, size]),
  };
}
