import sandmill, { state, StateError } from "sandmill";
export function main() {
  const seen = [state.get("count")];
  state.set("count", { n: 1 });
  seen.push(state.get("count"));
  seen.push(state.compareAndSwap("count", { n: 1 }, { n: 2 }), state.compareAndSwap("count", { n: 1 }, 3));
  seen.push(state.compareAndSwap("new", undefined, null), state.get("new"));
  state.delete("count");
  seen.push(state.get("count"), sandmill.state === state);
  try {
    state.set("", 1);
  } catch (error) {
    seen.push(error instanceof StateError, error.code, error.message);
  }
  return seen;
}
