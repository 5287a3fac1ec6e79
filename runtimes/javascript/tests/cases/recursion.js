export function main() {
  const deep = (n) => deep(n + 1) + 1;
  try {
    return deep(0);
  } catch (error) {
    return [error.name, error.message];
  }
}
