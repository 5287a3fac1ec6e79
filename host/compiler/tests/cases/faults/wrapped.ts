export const main = wrap((a: string) => a);
function wrap<T>(x: T) { return x; }
