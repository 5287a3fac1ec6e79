export function main() {
  const error = new Error("loop");
  error.self = error;
  error.n = 5n;
  throw error;
}
