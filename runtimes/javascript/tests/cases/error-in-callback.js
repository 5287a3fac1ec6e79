export function main() {
  return [3].map((item) => item.missing.field);
}
