let calls = 0;
export async function preprocessor() {
  await new Promise((done) => setTimeout(done, 1));
  return { calls: ++calls };
}
export const main = (calls) => [calls, ++globalThis.seen];
globalThis.seen = 0;
