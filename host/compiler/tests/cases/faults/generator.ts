export function* main() {}
