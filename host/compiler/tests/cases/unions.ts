interface Circle { kind: "circle"; radius: number }
interface Square { kind: "square"; side: number }
type Shape = Circle | Square;

export const main = (
  size: "s" | "m" | "l",
  answer: 1 | 2 | -3,
  maybe: string | null,
  perhaps: "a" | "b" | null,
  flag: true | false,
  either: string | number,
  open: "auto" | string,
  auto: "auto" | number,
  shape: Shape,
  optionalShape: Shape | null,
  loose: { a: string } | { b: number },
  anything: string | unknown,
  nested: string | (number | (boolean | null)),
  only: undefined,
  ref: Circle | undefined,
  list: (string | number)[],
  template: `id-${string}`,
  never: never,
) => size;
