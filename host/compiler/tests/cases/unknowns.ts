import type { Foreign } from "./elsewhere";
import { type Another } from "pkg";
class Service { run() {} }
interface Child extends Missing { own: string }

export default 3;
export function main<T, U extends string, V = number>(
  foreign: Foreign,
  another: Another[],
  global: SomeGlobal,
  service: Service,
  generic: T,
  bounded: U,
  defaulted: V,
  callback: (a: string) => void,
  symbol: symbol,
  map: Map<string, number>,
  conditional: string extends "a" ? 1 : 2,
  child: Child,
  imported: import("x").Y,
  self: typeof main,
  computed: number = Math.random(),
) {}
export function preprocessor(event: unknown) { return { foreign: event }; }
