const reasonOf = (promise) => promise.then(() => "no reason", (reason) => (reason instanceof Error ? reason.name : reason));
const abortable = () => {
  const controller = new AbortController();
  return [controller, controller.signal];
};
// Whether so many were given up on the other side, too.
const givenUp = (n) => Promise.race([fetch(`http://a.test/given-up?n=${n}`).then((response) => response.text()), new Promise((done) => setTimeout(done, 5000, "not yet"))]);

export async function main() {
  const seen = {};
  let cancelled = null;
  const unsent = new ReadableStream({ cancel: (reason) => { cancelled = reason; } });
  seen.before = await reasonOf(fetch("http://a.test/echo", { method: "POST", body: unsent, duplex: "half", signal: AbortSignal.abort("early") }));
  seen.beforeCancelled = cancelled;

  const [reading, whileReading] = abortable();
  const response = await fetch("http://a.test/hang-body", { signal: whileReading });
  const reader = response.body.getReader();
  seen.first = new TextDecoder().decode((await reader.read()).value);
  setTimeout(() => reading.abort(), 5);
  seen.reading = await reasonOf(reader.read());
  seen.readingAgain = await reasonOf(reader.read());

  const [collecting, whileCollecting] = abortable();
  const whole = (await fetch("http://a.test/hang-body", { signal: whileCollecting })).text();
  setTimeout(() => collecting.abort(new TypeError("enough")), 5);
  seen.collecting = await reasonOf(whole);

  const [leaving, whileLeft] = abortable();
  const left = await fetch("http://a.test/hang-body", { signal: whileLeft });
  leaving.abort("left");
  seen.left = await reasonOf(left.text());
  seen.givenUp = await givenUp(3);

  const [waiting, whileWaiting] = abortable();
  setTimeout(() => waiting.abort("bored"), 200);
  seen.waiting = await reasonOf(fetch("http://a.test/hang", { signal: whileWaiting }));
  seen.givenUpWaiting = await givenUp(4);

  seen.timeout = await reasonOf(fetch("http://a.test/hang", { signal: AbortSignal.timeout(5) }));
  seen.any = await reasonOf(fetch(new Request("http://a.test/hang", { signal: AbortSignal.any([AbortSignal.timeout(5), new AbortController().signal]) })));
  seen.redirected = await reasonOf(fetch("http://a.test/redirect?to=/hang", { signal: AbortSignal.timeout(50) }));

  const [sending, whileSending] = abortable();
  let stopped = null;
  const slow = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(10)), cancel: (reason) => { stopped = reason; } });
  const upload = fetch("http://a.test/echo", { method: "POST", body: slow, duplex: "half", signal: whileSending });
  setTimeout(() => sending.abort("no more"), 5);
  seen.sending = await reasonOf(upload);
  seen.sourceStopped = stopped;

  // What is over cannot be aborted.
  const [late, after] = abortable();
  const done = await fetch("http://a.test/chunks?n=1", { signal: after });
  const text = await done.text();
  late.abort("too late");
  seen.late = [text, done.status];
  return seen;
}
