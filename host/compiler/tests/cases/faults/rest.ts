export function main(a: string, ...rest: number[]) {}
