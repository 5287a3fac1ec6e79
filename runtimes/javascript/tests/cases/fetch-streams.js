const decoder = new TextDecoder();

export async function main() {
  // Down: as it arrives, in whatever way it is read.
  const chunks = [];
  for await (const chunk of (await fetch("http://a.test/chunks?n=3")).body) chunks.push(decoder.decode(chunk));
  const byob = (await fetch("http://a.test/chunks?n=1")).body.getReader({ mode: "byob" });
  const read = [];
  for (let done = false; !done; ) {
    const part = await byob.read(new Uint8Array(4));
    done = part.done;
    if (!done) read.push(decoder.decode(part.value));
  }
  const upper = (await fetch("http://a.test/chunks?n=2")).body.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()) }),
  );
  const shouted = [];
  for await (const chunk of upper) shouted.push(chunk);
  const response = await fetch("http://a.test/chunks?n=2");
  const copy = response.clone();
  const both = [await response.text(), await copy.text(), copy.url];
  // Both at once: what goes up is said only after what came down was heard.
  let say;
  const up = new ReadableStream({ start: (controller) => { say = controller; } });
  const mirror = fetch("http://a.test/mirror", { method: "POST", body: up, duplex: "half" });
  say.enqueue(new TextEncoder().encode("ping 0"));
  const heard = (await mirror).body.getReader();
  const talk = [];
  for (let n = 1; n <= 3; n++) {
    talk.push(decoder.decode((await heard.read()).value));
    if (n < 3) say.enqueue(new TextEncoder().encode(`ping ${n}`));
  }
  say.close();
  talk.push((await heard.read()).done);
  // Nothing is pulled that nobody takes: the other side must not be far ahead of what was read.
  const endless = await fetch("http://a.test/endless");
  const reader = endless.body.getReader();
  let taken = 0;
  while (taken < 300_000) taken += (await reader.read()).value.length;
  await new Promise((done) => setTimeout(done, 100));
  const sent = Number(await (await fetch("http://a.test/sent")).text());
  await reader.cancel();
  const givenUp = await (await fetch("http://a.test/given-up?n=1")).text();
  // A source is pulled only as fast as it is sent, and no more once the answer is there.
  let pulled = 0;
  const source = new ReadableStream({ pull: (controller) => { pulled++; controller.enqueue(new Uint8Array(65_536)); } });
  const early = await fetch("http://a.test/early", { method: "POST", body: source, duplex: "half" });
  const verdict = [early.status, await early.text()];
  const soFar = pulled;
  await new Promise((done) => setTimeout(done, 20));
  return { chunks, read: read.join(""), shouted: shouted.join(""), both, talk, ahead: sent - taken < 16_000_000, givenUp, verdict, stopped: pulled - soFar <= 1 && soFar < 1000 };
}
