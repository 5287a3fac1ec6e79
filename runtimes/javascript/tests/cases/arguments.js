export function main(name, count = 3, missing, toString) {
  return { name, count, missing: missing === undefined, inherited: toString === undefined, passed: arguments.length };
}
