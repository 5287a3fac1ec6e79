// What was thrown, as [name, message, stack, details] of the contract's error record.
import { inspect } from "./inspect.js";

// Frames of the runtime itself say nothing about the script.
const internal = /\((?:native|sandmill:[^)]*)\)\s*$|^\s*at sandmill:/;

export function cleanStack(stack) {
  if (typeof stack !== "string") return undefined;
  const lines = stack.split("\n").filter((line) => line.trim() !== "" && !internal.test(line));
  return lines.length === 0 ? undefined : lines.join("\n");
}

function text(value) {
  try {
    return String(value);
  } catch {
    return "an error whose message could not be read";
  }
}

// JSON of a value, with a best effort for what JSON cannot say.
function details(value, owner = value) {
  // The objects around the one at hand, each with what stands for it in the JSON.
  const around = [];
  let isFirst = true;
  try {
    return JSON.stringify(value, function (_key, part) {
      if (typeof part === "bigint") return String(part);
      if (typeof part !== "object" || part === null) return part;
      if (isFirst) {
        isFirst = false;
        around.push({ original: owner, shown: part });
        return part;
      }
      while (around.length > 0 && around.at(-1).shown !== this) around.pop();
      if (around.some(({ original }) => original === part)) return "[Circular]";
      const shown = part instanceof Error ? errorDetails(part) : part;
      around.push({ original: part, shown });
      return shown;
    });
  } catch {
    return undefined;
  }
}

function errorDetails(error) {
  return { name: text(error.name), message: text(error.message), ...rest(error) };
}

// Everything that name, message and stack do not say.
function rest(error) {
  const result = {};
  for (const key of Object.keys(error)) {
    if (key === "name" || key === "message" || key === "stack") continue;
    try {
      result[key] = error[key];
    } catch {
      // A getter that throws has nothing to tell.
    }
  }
  if (Object.hasOwn(error, "cause")) result.cause = error.cause;
  if (Object.hasOwn(error, "errors")) result.errors = error.errors;
  return result;
}

export function describe(thrown) {
  if (thrown instanceof Error || thrown instanceof DOMException) {
    const extra = rest(thrown);
    return [
      text(thrown.name ?? "Error"),
      text(thrown.message),
      cleanStack(thrown.stack),
      Object.keys(extra).length > 0 ? details(extra, thrown) : undefined,
    ];
  }
  if (typeof thrown === "object" && thrown !== null) {
    const name = typeof thrown.name === "string" ? thrown.name : "NonError";
    const message = typeof thrown.message === "string" ? thrown.message : inspect(thrown);
    return [name, message, cleanStack(thrown.stack), details(thrown)];
  }
  return ["NonError", typeof thrown === "symbol" ? thrown.toString() : text(thrown), undefined, details(thrown)];
}
