export async function main() {
  const seen = [];
  const note = (text) => () => seen.push(text);
  setTimeout(note("timeout 0"), 0);
  setTimeout(note("timeout 1"), 1);
  setTimeout(() => { seen.push("a"); queueMicrotask(note("between timers")); }, 2);
  setTimeout(note("b"), 2);
  queueMicrotask(() => { seen.push("microtask 1"); queueMicrotask(note("microtask of a microtask")); });
  Promise.resolve().then(note("promise"));
  queueMicrotask(note("microtask 2"));
  (async () => { seen.push("sync"); await null; seen.push("after await"); })();
  seen.push("end of main's first part");
  await new Promise((done) => setTimeout(done, 10));
  let ticks = 0;
  let other;
  const order = [];
  await new Promise((done) => {
    const first = setInterval(() => {
      order.push(`first ${++ticks}`);
      if (ticks === 2) clearInterval(other);
      if (ticks === 3) { clearTimeout(first); setTimeout(done, 20); }
    }, 4);
    other = setInterval(() => order.push("other"), 4);
  });
  clearTimeout(undefined);
  clearInterval(12345);
  const times = Array.from({ length: 1000 }, () => performance.now());
  const isMonotonic = times.every((time, index) => index === 0 || time >= times[index - 1]);
  const [left, middle, right] = [Date.now(), new Date().getTime(), Date.now()];
  const agree = left <= middle && middle <= right && Number.isInteger(left) && Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 50;
  const isMoving = await new Promise((done) => { const from = Date.now(); setTimeout(() => done(Date.now() - from >= 4), 5); });
  let bad;
  try { queueMicrotask("text"); } catch (error) { bad = error.name; }
  return { seen, order, isMonotonic, agree, isMoving, bad };
}
