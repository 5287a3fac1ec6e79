export async function main() {
  const seen = [];
  const parent = new AbortController();
  const any = AbortSignal.any([parent.signal, AbortSignal.any([parent.signal])]);
  any.onabort = (event) => seen.push(["handler", event.type, event.target === any]);
  any.addEventListener("abort", () => seen.push("once"), { once: true });
  parent.signal.addEventListener("abort", () => seen.push("parent"));
  parent.abort(new TypeError("why"));
  const reason = [any.aborted, any.reason instanceof TypeError, any.reason === parent.signal.reason];
  const already = AbortSignal.any([new AbortController().signal, AbortSignal.abort(7)]);
  const never = AbortSignal.any([]);
  const start = performance.now();
  const timeout = AbortSignal.timeout(20);
  const before = timeout.aborted;
  await new Promise((done) => timeout.addEventListener("abort", done));
  const waited = performance.now() - start >= 19;
  let thrown;
  try { timeout.throwIfAborted(); } catch (error) { thrown = [error.name, error.code, error instanceof DOMException]; }
  never.throwIfAborted();
  const target = new EventTarget();
  target.addEventListener("x", () => seen.push("not this"), { signal: parent.signal });
  target.dispatchEvent(new Event("x"));
  return { seen, reason, already: [already.aborted, already.reason], never: never.aborted, before, waited, thrown };
}
