export function main() {
  // Cycles, which reference counting alone would never free: 40 times what is alive at once.
  for (let i = 0; i < 200_000; i++) {
    const left = { payload: new Array(20).fill(i) };
    left.self = left;
  }
  return "done";
}
