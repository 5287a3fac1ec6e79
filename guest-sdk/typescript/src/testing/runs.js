// Children: functions of the test, which run when they are started.
import { describe } from "../runtime/describe.js";
import { InvalidArguments, applied } from "./call.js";
import { resultOf } from "./result.js";
import { denied, fail } from "./world.js";

const CHILDREN_MAX = 1000;

// A child that does not end, unless it is cancelled.
export const PENDING = Symbol("PENDING");

export class Runs {
  #scripts;
  #endings = new Map();
  #byKey = new Map();
  started = [];

  constructor(scripts) {
    this.#scripts = scripts;
  }

  start(path, json, delayMs, priority, tag, key) {
    const script = this.#script(path);
    const args = JSON.parse(json);
    if (typeof args !== "object" || args === null || Array.isArray(args)) fail("invalid", "the arguments are a JSON object");
    if (priority !== undefined && !(priority >= -1000 && priority <= 1000)) fail("invalid", "a priority is from -1000 to 1000");
    if (key !== undefined && !([...key].length >= 1 && [...key].length <= 255)) fail("invalid", "a key has 1 to 255 characters");
    if (this.#byKey.has(key)) return this.#byKey.get(key);
    if (this.started.length >= CHILDREN_MAX) fail("too-many", `one attempt starts at most ${CHILDREN_MAX} children`);
    const id = `00000000-0000-7000-8000-${(this.started.length + 2).toString(16).padStart(12, "0")}`;
    this.#endings.set(id, ending(script, args));
    this.started.push({ id, path, args, delayMs, priority, tag, key });
    if (key !== undefined) this.#byKey.set(key, id);
    return id;
  }

  wait(id) {
    return this.#ending(id) ?? fail("timeout", `run ${id} has not ended`);
  }

  waitMany(ids) {
    if (ids.length < 1 || ids.length > CHILDREN_MAX) fail("invalid", `one waits for 1 to ${CHILDREN_MAX} runs`);
    return ids.filter((id) => this.#ending(id) !== undefined);
  }

  result(id) {
    return this.#ending(id);
  }

  cancel(id) {
    if (this.#ending(id) !== undefined) return false;
    this.#endings.set(id, ["failed", "cancelled", "Cancelled", "the run was cancelled"]);
    return true;
  }

  #script(path) {
    // A fake of the path serves all of its versions.
    const name = [path, path.split("@")[0]].find((name) => Object.hasOwn(this.#scripts, name));
    return name === undefined ? denied(`the script ${path}`, `runs: { "${path}": (…) => … }`) : this.#scripts[name];
  }

  #ending(id) {
    if (!this.#endings.has(id)) fail("not-found", `this run has no child ${id}`);
    return this.#endings.get(id);
  }
}

function ending(script, args) {
  if (script === PENDING) return undefined;
  let value;
  try {
    if (script instanceof Error) throw script;
    value = typeof script === "function" ? applied(script, args) : script;
  } catch (error) {
    if (error instanceof InvalidArguments) fail("invalid-arguments", error.message, JSON.stringify({ faults: error.faults }));
    const [name, message, stack, details] = describe(error);
    return ["failed", "error", name, message, stack, details];
  }
  const result = resultOf(value);
  if (typeof result?.then === "function") throw new TypeError("the fake of a script cannot be async: give its result as a value");
  return result instanceof Uint8Array || result?.data instanceof Uint8Array
    ? ["bytes", result.contentType, result.data]
    : ["json", JSON.stringify(result)];
}
