// Each request of these is answered only once all of them are there.
const together = (n) => Promise.all(Array.from({ length: n }, () => fetch(`http://a.test/together?n=${n}`).then((response) => response.text())));

export async function main() {
  const texts = await together(300);
  // Timers go on meanwhile, and a slow answer holds up none of the others.
  const order = [];
  const note = (what) => () => order.push(what);
  const ticks = setInterval(note("tick"), 10);
  await Promise.all([
    fetch("http://a.test/late?ms=90").then(note("slow")),
    fetch("http://a.test/late?ms=1").then(note("quick")),
    new Promise((done) => setTimeout(done, 45)).then(note("timer")),
  ]);
  clearInterval(ticks);
  const ticked = order.filter((what) => what === "tick").length;
  const first = await Promise.race([fetch("http://a.test/hang"), fetch("http://a.test/late?ms=5"), new Promise((done) => setTimeout(done, 5000))]);
  return { all: texts.length, same: new Set(texts).size, order: order.filter((what) => what !== "tick"), ticked: ticked >= 3, first: await first.text() };
}
