export async function main() {
  const collect = async (stream) => {
    const items = [];
    for await (const item of stream) items.push(item);
    return items;
  };
  // pipeTo: an error of the sink cancels the source; a signal aborts both.
  let cancelled;
  const endless = () => new ReadableStream({ pull: (controller) => controller.enqueue(1), cancel: (reason) => { cancelled = String(reason); } });
  const failed = await endless().pipeTo(new WritableStream({ write() { throw new Error("full"); } })).catch((error) => error.message);
  const controller = new AbortController();
  let aborted;
  const piped = endless().pipeTo(new WritableStream({ write: () => controller.abort("stop"), abort: (reason) => { aborted = reason; } }), { signal: controller.signal });
  const stopped = await piped.catch((reason) => reason);
  // tee: each branch at its own pace.
  const [left, right] = ReadableStream.from([1, 2, 3]).tee();
  const tee = [await collect(right), await collect(left)];
  // Leaving a loop cancels, unless told otherwise.
  const early = ReadableStream.from([1, 2, 3]);
  for await (const item of early.values({ preventCancel: true })) if (item === 1) break;
  const rest = await collect(early);
  const source = endless();
  for await (const item of source) if (item === 1) break;
  const afterBreak = await collect(source);
  // TransformStream: state, flush, terminate, errors.
  let sum = 0;
  const sums = new TransformStream({ transform(chunk, controller) { sum += chunk; controller.enqueue(sum); }, flush: (controller) => controller.enqueue("end") });
  const summed = await collect(ReadableStream.from([1, 2, 3]).pipeThrough(sums));
  const first = new TransformStream({ transform(chunk, controller) { controller.enqueue(chunk); controller.terminate(); } });
  const terminated = await collect(ReadableStream.from([1, 2, 3]).pipeThrough(first));
  const bad = new TransformStream({ transform() { throw new TypeError("bad chunk"); } });
  const thrown = await collect(ReadableStream.from([1]).pipeThrough(bad)).catch((error) => error.message);
  const identity = await collect(ReadableStream.from("ab").pipeThrough(new TransformStream()));
  // Bytes into a buffer of the reader's.
  const byob = new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(new Uint8Array([1, 2, 3])); controller.close(); } }).getReader({ mode: "byob" });
  const read = await byob.read(new Uint8Array(2));
  // Back-pressure.
  const writer = new WritableStream({ write: () => new Promise((done) => setTimeout(done, 1)) }, new CountQueuingStrategy({ highWaterMark: 2 })).getWriter();
  const sizes = [writer.desiredSize];
  const writes = [writer.write("a"), writer.write("b")];
  sizes.push(writer.desiredSize);
  await Promise.all(writes);
  sizes.push(writer.desiredSize);
  await writer.close();
  const locked = ReadableStream.from([]);
  locked.getReader();
  let twice;
  try { locked.getReader(); } catch (error) { twice = error.name; }
  return { failed, cancelled, stopped, aborted, tee, rest, afterBreak, summed, terminated, thrown, identity, read: [...read.value], sizes, twice, decoded: await new Response(new Blob(["bl", "ob"]).stream()).text() };
}
