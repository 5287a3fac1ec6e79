export function main() {
  return { nan: NaN, infinite: -Infinity, date: new Date(0), skipped: undefined, method() {}, nested: [undefined, () => 1] };
}
