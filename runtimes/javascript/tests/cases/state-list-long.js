import { state } from "sandmill";

export function main() {
  for (let n = 0; n < 1001; n++) state.set(`k${n}`, n);
  return [state.list().length, state.list("", { limit: 5000 }).length, state.list("", { after: state.list().at(-1) })];
}
