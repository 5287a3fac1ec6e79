const attempts = {
  map: () => { const f = () => [1].map(f); f(); },
  replace: () => { const f = () => "a".replace(/a/, f); f(); },
  sort: () => { const f = () => [2, 1].sort(f); f(); },
  json: () => { const f = () => JSON.stringify({ toJSON: f }); f(); },
  getter: () => { const o = { get x() { return this.x; } }; o.x; },
  proxy: () => { let p = {}; for (let i = 0; i < 20_000; i++) p = new Proxy(p, {}); p.x; },
  construct: () => { class A { constructor() { new A(); } } new A(); },
  apply: () => { const f = () => Reflect.apply(f, null, []); f(); },
  spread: () => { const f = (...a) => f(...a, 1); f(); },
  generator: () => { function* g() { yield* g(); } g().next(); },
  flat: () => { let a = []; for (let i = 0; i < 50_000; i++) a = [a]; a.flat(Infinity); },
  toString: () => { let a = []; for (let i = 0; i < 50_000; i++) a = [a]; String(a); },
  regexp: () => { new RegExp("(".repeat(50_000)); },
  regexpRun: () => { /^(?:(?:(?:a?)?)?)+$/.test("a".repeat(200_000)); },
};
export function main() {
  const ends = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      attempt();
      ends[name] = "fine";
    } catch (error) {
      ends[name] = error.name;
    }
  }
  return ends;
}
