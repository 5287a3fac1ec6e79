/** A person. */
export interface Person {
  /** As in the passport. */
  name: string;
  age?: number;
  readonly tags: string[];
  "quoted-key": boolean;
  greet(): void;
  nick: string | undefined;
}
interface Base { id: string }
interface Employee extends Base, Person { boss?: Employee; name: "fixed" }
interface Employee { added: number }
type Tree = { value: number; children: Tree[] };
type Mutual = { other?: MutualB };
type MutualB = { back: Mutual | null };
type Id = string;
type Both = Base & { more: number };
type Mixed = Base & Record<string, string>;
type Box<T> = { content: T; note?: string };
type Loop<T> = { next: Loop<T[]> };
type Mapped = { [K in "x" | "y"]?: number };
type Copy = { [K in keyof Base]: Base[K] };
namespace Geo { export interface Point { lat: number; lon: number } }

export { start as main };
function start(
  person: Person,
  employee: Employee,
  tree: Tree,
  mutual: Mutual,
  id: Id,
  both: Both,
  mixed: Mixed,
  box: Box<string>,
  boxes: Box<Box<number>>,
  loop: Loop<string>,
  mapped: Mapped,
  copy: Copy,
  partial: Partial<Person>,
  required: Required<{ a?: string }>,
  picked: Pick<Person, "name" | "age">,
  omitted: Omit<Person, "tags" | "quoted-key" | "nick">,
  looked: Person["name" | "age"],
  keys: keyof Base,
  inline: { a: { b: { c: number } } },
  empty: {},
  point: Geo.Point,
  excluded: Exclude<"a" | "b" | "c", "b">,
  present: NonNullable<string | null>,
) {
  return person.name;
}
