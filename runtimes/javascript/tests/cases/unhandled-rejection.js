export async function main() {
  Promise.reject(new TypeError("nobody listens"));
  const handled = Promise.reject(new Error("handled late"));
  await null;
  handled.catch(() => {});
  return 1;
}
