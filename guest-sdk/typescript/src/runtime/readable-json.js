// JSON for people to read: what JSON cannot hold gets a stand-in, and nothing throws.
import { inspect } from "./inspect.js";

const isOpaque = (value) =>
  typeof value === "function" ||
  typeof value === "symbol" ||
  value instanceof Error ||
  value instanceof Map ||
  value instanceof Set ||
  value instanceof RegExp ||
  value instanceof ArrayBuffer ||
  ArrayBuffer.isView(value);

function replacer() {
  const open = [];
  return function (_key, value) {
    if (typeof value === "bigint") return String(value);
    if (typeof value === "number" && !Number.isFinite(value)) return String(value);
    if (isOpaque(value)) return inspect(value);
    if (typeof value !== "object" || value === null) return value;
    // `this` holds the value; what was opened after it is over.
    while (open.length > 0 && open.at(-1) !== this) open.pop();
    if (open.includes(value)) return "[Circular]";
    open.push(value);
    return value;
  };
}

// A getter or a toJSON that throws, or nesting beyond the stack.
function readableField(fields, key) {
  try {
    const json = JSON.stringify(fields[key], replacer());
    return json === undefined ? undefined : JSON.parse(json);
  } catch (error) {
    return `[cannot be shown: ${error instanceof Error ? error.message : inspect(error)}]`;
  }
}

// JSON of an object; of anything else, of an object that holds it as `value`.
export function readableJson(fields) {
  try {
    const isObject = typeof fields === "object" && fields !== null && !isOpaque(fields);
    return JSON.stringify(isObject ? { ...fields } : { value: fields }, replacer());
  } catch {
    // Field by field, so that only what is at fault is lost.
  }
  try {
    return JSON.stringify(Object.fromEntries(Object.keys(fields).map((key) => [key, readableField(fields, key)])));
  } catch {
    return JSON.stringify({ value: "[cannot be shown]" });
  }
}
