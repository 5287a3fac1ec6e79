// The module `sandmill`.
import { toBytes } from "./bytes.js";
import { inspect } from "./inspect.js";
import { toJson } from "./json.js";
import { native } from "./native.js";
import { readableJson } from "./readable-json.js";
import { ChildError, runs, RunsError } from "./runs.js";

export class StateError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "StateError";
    this.code = code;
  }
}

function taken([value, code, text]) {
  if (code !== undefined) throw new StateError(code, text);
  return value;
}

// Absent (undefined) is not null, which is a value like any other.
const optionalJson = (what, value) => (value === undefined ? undefined : toJson(what, value));

const state = {
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
};

// A line of the log must never end a run, whatever is in it.
const line = (level) => (message, fields) =>
  native.log(level, typeof message === "string" ? message : inspect(message, false), fields === undefined ? undefined : readableJson(fields));

const log = { trace: line(0), debug: line(1), info: line(2), warn: line(3), error: line(4) };

const output = {
  progress(percent, text = "") {
    native.progress(Number(percent), String(text));
  },
  write(chunk) {
    native.write(typeof chunk === "string" ? native.encode(chunk) : toBytes(chunk, "output.write"));
  },
};

// Asked of the host once a run and only if somebody looks.
let info;
const lazy = (name) => () => (info ??= native.context(`context.${name}`))[name];

const context = { payload: () => native.payload() };
for (const name of ["runId", "script", "version", "workspace", "trigger", "attempt", "runAs"]) {
  Object.defineProperty(context, name, { enumerable: true, get: lazy(name) });
}
Object.defineProperty(context, "deadline", {
  enumerable: true,
  get: () => new Date((info ??= native.context("context.deadline")).deadlineMs),
});

export const sandmill = { context, log, output, runs, state, ChildError, RunsError, StateError };
