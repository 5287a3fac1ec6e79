import { state } from "sandmill";

export function main() {
  for (const key of ["b/2", "a", "b/1", "b/3", "c"]) state.set(key, 1);
  let refused;
  try { state.list("", { limit: "many" }); } catch (error) { refused = error.name; }
  return [state.list(), state.list("b/"), state.list("b/", { after: "b/1" }), state.list("", { limit: 2 }), state.list("", { limit: 0 }), state.list("x"), refused];
}
