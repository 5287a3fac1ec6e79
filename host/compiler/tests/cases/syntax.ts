#!/usr/bin/env something
import { state } from "sandmill";
import type { Nothing } from "erased";
import { OnlyAType } from "./types";

abstract class Shape {
  constructor(protected readonly name: string, public size = 1) {}
  abstract area(): number;
  declare ghost: string;
}
class Square extends Shape implements OnlyAType {
  #side!: number;
  private static count = 0;
  override area(): number { return this.size ** 2; }
}
enum Color { Red = "red", Blue = "blue" }
const enum Bit { One = 1 }
namespace Tools { export const double = (x: number) => x * 2; }
const table = { a: 1 } satisfies Record<string, number>;
function over(a: string): string;
function over(a: number): number;
function over(a: any) { return a; }
declare const outside: string;
declare global { interface Window { x: 1 } }

export function main(this: void, a: string): string;
export function main(a: number): number;
export async function main(a: any, flag?: boolean) {
  using resource = { [Symbol.dispose]() {} };
  const value = <string>a as unknown as string;
  const square = new Square("s", 3);
  await state.get("x");
  return [value!, square.area(), Color.Red, Bit.One, Tools.double(2), table.a, over(1), flag ?? resource] as const;
}
