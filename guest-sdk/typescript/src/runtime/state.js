// State: `state` of the module `sandmill`.
import { Refused, taker } from "./errors.js";
import { optionalText, pageSize, toJson } from "./arguments.js";
import { native } from "./native.js";

export class StateError extends Refused {}

const taken = taker(StateError);

// Absent (undefined) is not null, which is a value like any other.
const optionalJson = (what, value) => (value === undefined ? undefined : toJson(what, value));

export const state = {
  get(key) {
    const json = taken(native.stateGet(String(key)));
    return json === undefined || json === null ? undefined : JSON.parse(json);
  },
  set(key, value) {
    taken(native.stateSet(String(key), toJson("state.set", value)));
  },
  delete(key) {
    taken(native.stateDelete(String(key)));
  },
  compareAndSwap(key, expected, replacement) {
    const what = "state.compareAndSwap";
    return taken(native.stateSwap(String(key), optionalJson(what, expected), optionalJson(what, replacement)));
  },
  list(prefix = "", { after, limit } = {}) {
    return taken(native.stateList(String(prefix), optionalText(after), pageSize("state.list", limit)));
  },
};
