export function main({ a, b }: { a: string; b: number }) {}
