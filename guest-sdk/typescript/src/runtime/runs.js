// Runs that a script starts: `runs` of the module `sandmill`.
import { optionalText, toJson } from "./arguments.js";
import { Refused, taker } from "./errors.js";
import { native } from "./native.js";

// What went wrong between this run and its children.
export class RunsError extends Refused {
  constructor(code, message, details) {
    super(code, message);
    if (details != null) this.details = JSON.parse(details);
  }
}

// A child that failed, under the name and with the message of its own error.
export class ChildError extends Error {
  constructor(runId, [, outcome, name, message, stack, details]) {
    super(message);
    this.name = name;
    this.runId = runId;
    this.outcome = outcome;
    if (stack != null) this.childStack = stack;
    if (details != null) this.details = JSON.parse(details);
  }
}

const taken = taker(RunsError);

// Whole milliseconds, or undefined for none.
function milliseconds(what, value) {
  if (value === undefined || value === null) return undefined;
  const number = Number(value);
  if (!(number >= 0)) throw new RangeError(`${what} is a number of milliseconds`);
  return Math.min(Math.ceil(number), Number.MAX_SAFE_INTEGER);
}

function value(runId, ending) {
  switch (ending[0]) {
    case "json":
      return JSON.parse(ending[1]);
    case "bytes":
      return { contentType: ending[1], data: ending[2] };
    case "skipped":
      return undefined;
    default:
      throw new ChildError(runId, ending);
  }
}

const waitForOne = (id, timeoutMs) => value(id, taken(native.runsWait(id, timeoutMs)));

export const runs = {
  start(path, args = {}, options = {}) {
    const { delayMs, priority, tag, key } = options;
    const urgency = priority === undefined || priority === null ? undefined : Math.trunc(Number(priority));
    const delay = milliseconds("runs.start: delayMs", delayMs);
    return taken(native.runsStart(String(path), toJson("runs.start", args), delay, urgency, optionalText(tag), optionalText(key)));
  },
  wait(ids, options = {}) {
    const timeoutMs = milliseconds("runs.wait: timeoutMs", options.timeoutMs);
    if (!Array.isArray(ids)) return waitForOne(String(ids), timeoutMs);
    const all = ids.map(String);
    const ended = new Set(taken(native.runsWaitMany(all, false, timeoutMs)));
    const missing = all.find((id) => !ended.has(id));
    if (missing !== undefined) throw new RunsError("timeout", `run ${missing} has not ended within ${timeoutMs} ms`);
    return all.map((id) => waitForOne(id, 0));
  },
  any(ids, options = {}) {
    return taken(native.runsWaitMany(Array.from(ids, String), true, milliseconds("runs.any: timeoutMs", options.timeoutMs)));
  },
  run(path, args, options = {}) {
    return this.wait(this.start(path, args, options), options);
  },
  result(id) {
    const ending = taken(native.runsResult(String(id)));
    if (ending === undefined || ending === null) return undefined;
    try {
      return { ok: true, value: value(String(id), ending) };
    } catch (error) {
      return { ok: false, error };
    }
  },
  cancel(id) {
    return taken(native.runsCancel(String(id)));
  },
};
for (const name of Object.keys(runs)) runs[name] = runs[name].bind(runs);
