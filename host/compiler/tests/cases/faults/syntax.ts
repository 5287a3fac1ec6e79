export function main(a: string {
  return a;
}
