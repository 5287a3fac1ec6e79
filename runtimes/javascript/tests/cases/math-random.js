const seed = Math.random();
export function main() {
  const values = Array.from({ length: 1000 }, Math.random);
  const mean = values.reduce((sum, value) => sum + value, 0) / 1000;
  return [values.every((value) => value >= 0 && value < 1), mean > 0.4 && mean < 0.6, values[0] !== seed, new Set(values).size];
}
