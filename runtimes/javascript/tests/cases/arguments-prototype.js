export function main(opts) {
  return [Object.hasOwn(opts, "__proto__"), opts.polluted === undefined, {}.polluted === undefined, JSON.stringify(opts)];
}
