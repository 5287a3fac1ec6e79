// console: lines of the run's log.
import { cleanStack } from "./describe.js";
import { format, inspect } from "./inspect.js";
import { native } from "./native.js";

const TRACE = 0;
const DEBUG = 1;
const INFO = 2;
const WARN = 3;
const ERROR = 4;

let indent = "";
const counts = new Map();
const timers = new Map();

function write(level, text) {
  native.log(level, indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`));
}

// Formatting is skipped where the line would be dropped anyway.
const line = (level) => (...values) => {
  if (native.isOpen()) write(level, format(values));
};

function elapsed(label, values) {
  const start = timers.get(label);
  if (start === undefined) return write(WARN, `No such label '${label}' for console.timeLog()`);
  const rest = values.length > 0 ? ` ${format(values)}` : "";
  write(INFO, `${label}: ${(native.elapsed() - start).toFixed(3)}ms${rest}`);
}

function table(data, columns) {
  if (typeof data !== "object" || data === null) return write(INFO, format([data]));
  const rows = data instanceof Map ? [...data] : Object.entries(data);
  const names = new Set(columns);
  let hasValues = false;
  for (const [, row] of rows) {
    if (typeof row !== "object" || row === null) hasValues = true;
    else if (columns === undefined) for (const name of Object.keys(row)) names.add(name);
  }
  const head = ["(index)", ...names, ...(hasValues ? ["Values"] : [])];
  const body = rows.map(([index, row]) => {
    const isObject = typeof row === "object" && row !== null;
    const cells = [...names].map((name) => (isObject && Object.hasOwn(row, name) ? inspect(row[name], true, 0) : ""));
    return [String(index), ...cells, ...(hasValues ? [isObject ? "" : inspect(row)] : [])];
  });
  write(INFO, drawTable([head, ...body]));
}

function drawTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)) + 2);
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  const draw = (row) => `│${row.map((cell, column) => ` ${cell}`.padEnd(widths[column])).join("│")}│`;
  const [head, ...body] = rows.map(draw);
  return [rule("┌", "┬", "┐"), head, rule("├", "┼", "┤"), ...body, rule("└", "┴", "┘")].join("\n");
}

export const console = {
  log: line(INFO),
  info: line(INFO),
  debug: line(DEBUG),
  warn: line(WARN),
  error: line(ERROR),
  dir: (value) => line(INFO)(value),
  dirxml: line(INFO),
  trace(...values) {
    const head = values.length > 0 ? `Trace: ${format(values)}` : "Trace";
    write(TRACE, `${head}\n${cleanStack(new Error().stack) ?? ""}`.trimEnd());
  },
  assert(condition, ...values) {
    if (condition) return;
    write(ERROR, values.length > 0 ? `Assertion failed: ${format(values)}` : "Assertion failed");
  },
  table,
  group(...values) {
    if (values.length > 0) write(INFO, format(values));
    indent += "  ";
  },
  groupCollapsed: (...values) => console.group(...values),
  groupEnd() {
    indent = indent.slice(2);
  },
  count(label = "default") {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write(INFO, `${label}: ${counts.get(label)}`);
  },
  countReset(label = "default") {
    counts.delete(label);
  },
  time(label = "default") {
    timers.set(label, native.elapsed());
  },
  timeLog: (label = "default", ...values) => elapsed(label, values),
  timeEnd(label = "default") {
    elapsed(label, []);
    timers.delete(label);
  },
};
