export async function main() {
  const upper = new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()) });
  const source = ReadableStream.from(["a", "é", "c"]);
  const bytes = source.pipeThrough(upper).pipeThrough(new TextEncoderStream());
  const [left, right] = bytes.tee();
  const text = [];
  for await (const chunk of left.pipeThrough(new TextDecoderStream())) text.push(chunk);
  const written = [];
  await right.pipeTo(new WritableStream({ write: (chunk) => { written.push(chunk.length); } }));
  return [text.join(""), written];
}
