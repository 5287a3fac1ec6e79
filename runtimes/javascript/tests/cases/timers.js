export async function main() {
  const seen = [];
  const note = (text) => seen.push(text);
  setTimeout(note, 10, "ten");
  setTimeout(note, 1, "one");
  const cancelled = setTimeout(note, 5, "cancelled");
  clearTimeout(cancelled);
  setImmediate(note, "immediate");
  queueMicrotask(() => note("microtask"));
  let ticks = 0;
  await new Promise((done) => {
    const interval = setInterval(() => {
      if (++ticks === 3) {
        clearInterval(interval);
        done();
      }
    }, 4);
  });
  return [...seen, ticks];
}
