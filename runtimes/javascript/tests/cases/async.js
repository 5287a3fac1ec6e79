export async function main() {
  const values = await Promise.all([1, Promise.resolve(2), new Promise((done) => setTimeout(done, 5, 3))]);
  return values;
}
