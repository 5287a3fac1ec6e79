import { state } from "sandmill";
import lodash from "lodash";
import * as fs from "node:fs";
import { x } from "./local";
import "side-effect";
import unused from "never-used";
export * from "elsewhere";
export function main() {
  return [lodash, fs, x, state, import("dynamic")];
}
