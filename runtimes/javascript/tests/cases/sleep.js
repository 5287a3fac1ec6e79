export async function main() {
  const start = performance.now();
  await new Promise((done) => setTimeout(done, 30));
  const took = performance.now() - start;
  return took >= 29 && took < 1000;
}
