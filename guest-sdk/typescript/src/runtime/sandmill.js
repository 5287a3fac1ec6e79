// The module `sandmill`.
import { toBytes } from "./bytes.js";
import { inspect } from "./inspect.js";
import { native } from "./native.js";
import { blob, BlobError } from "./objects.js";
import { publish, PublishError } from "./publish.js";
import { readableJson } from "./readable-json.js";
import { resource, ResourceError } from "./resources.js";
import { ChildError, runs, RunsError } from "./runs.js";
import { sql, SqlError } from "./sql.js";
import { state, StateError } from "./state.js";
import { secret, variable, VariableError } from "./variables.js";

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

const values = { blob, context, log, output, publish, resource, runs, secret, sql, state, variable };
const errors = { BlobError, ChildError, PublishError, ResourceError, RunsError, SqlError, StateError, VariableError };

export const sandmill = { ...values, ...errors };
