enum Color { Red, Green = 5, Blue }
enum Mode { On = "on", Off = "off" }
const enum Flags { None = 0, A = 1 << 0, B = 1 << 1, Both = A | B }
const LEVELS = ["low", "high"] as const;
const TABLE = { a: 1, b: "two" } as const;
type Level = (typeof LEVELS)[number];
type Key = keyof typeof TABLE;
type Value = (typeof TABLE)[Key];

export function main(
  list: string[],
  nested: Array<Array<number>>,
  fixed: readonly [string, number?, ...boolean[]],
  named: [x: number, y: number],
  empty: [],
  record: Record<string, number>,
  keyed: Record<"a" | "b", boolean>,
  index: { [key: string]: Date },
  color: Color,
  mode: Mode = Mode.Off,
  one: Color.Blue,
  flags: Flags,
  level: Level,
  key: Key,
  value: Value,
  tags: string[] = ["a", "b"],
  settings = { retries: 3, hosts: ["x"], deep: { on: true } },
  letters = [],
) {
  return [list, nested, fixed, color, mode, flags];
}
