const atLoad = [Date.now(), new Date().getTime(), performance.now(), new Date().toISOString()];
const random = Math.random();
export function main() {
  const now = Date.now();
  return [atLoad, random, now > 1.7e12, new Date().getTime() - now < 1000, Math.random() !== Math.random()];
}
