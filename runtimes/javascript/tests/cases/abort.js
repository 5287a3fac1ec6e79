export async function main() {
  const controller = new AbortController();
  const seen = [];
  controller.signal.addEventListener("abort", (event) => seen.push(event.type, controller.signal.reason.name));
  controller.abort();
  controller.abort();
  const timeout = AbortSignal.timeout(2);
  const any = AbortSignal.any([timeout, new AbortController().signal]);
  await new Promise((done) => any.addEventListener("abort", done));
  let thrown;
  try { any.throwIfAborted(); } catch (error) { thrown = error.name; }
  return [...seen, thrown, AbortSignal.abort("why").reason];
}
