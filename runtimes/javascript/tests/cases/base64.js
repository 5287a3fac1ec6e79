export function main() {
  let invalid;
  try { atob("*"); } catch (error) { invalid = [error.name, error instanceof DOMException]; }
  return [btoa("hi\xff"), atob("aGk="), invalid, new Uint8Array([1, 2]).toBase64()];
}
