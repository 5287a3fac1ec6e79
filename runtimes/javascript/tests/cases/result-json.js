export function main() {
  return { nan: NaN, infinite: -Infinity, date: new Date(0), skipped: undefined, method() {}, half: "\ud800", nested: [undefined, () => 1] };
}
