export function main() {
  return <div>hello</div>;
}
