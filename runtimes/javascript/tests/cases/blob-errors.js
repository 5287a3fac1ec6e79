import { blob, BlobError } from "sandmill";

const told = (promise) => promise.then(() => "fine", (error) => [error instanceof BlobError, error.name, error.code ?? null, error.message]);

export async function main() {
  const dry = new ReadableStream({ pull(controller) { controller.error(new RangeError("dry")); } });
  const broken = await told(blob.put("reports/broken", dry));
  await blob.put("reports/failing", new Uint8Array(400_000));
  const stream = (await blob.get("reports/failing")).stream().getReader();
  const first = (await stream.read()).value.length > 0;
  return {
    get: await told(blob.get("private/x")),
    put: await told(blob.put("private/x", "")),
    stat: await told(blob.stat("private/x")),
    delete: await told(blob.delete("private/x")),
    broken,
    nothingOfIt: (await blob.stat("reports/broken")) === undefined,
    text: await told(blob.get("reports/failing").then((object) => object.text())),
    stream: [first, await told(stream.read())],
    noData: [await told(blob.put("reports/x", { n: 1 })), await told(blob.put("reports/x", null))],
    noChunk: await told(blob.put("reports/x", ReadableStream.from([1]))),
    limit: await told(blob.list("reports/", { limit: "many" }).next()),
  };
}
