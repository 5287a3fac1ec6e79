// Calls a script as the platform does: arguments by name, and everything as JSON has it.
import { parametersOf } from "./parameters.js";
import { resultOf } from "./result.js";

// What the platform refuses before `main` is called. Types are gone at run time: of what they say only dates are noticed here.
export class InvalidArguments extends Error {
  constructor(faults) {
    super(`the arguments do not fit: ${faults.map(({ pointer, message }) => `${pointer} ${message}`).join(", ")}`);
    this.name = "InvalidArguments";
    this.faults = faults;
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// What is not given is `undefined`, so that defaults hold. `dates` are the parameters whose type is Date.
export function applied(main, args, { dates = [] } = {}) {
  const given = JSON.parse(JSON.stringify(args) ?? "null");
  if (!isObject(given)) throw new TypeError("the arguments are an object");
  const names = parametersOf(main);
  const unknown = dates.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`dates: main has no parameter ${unknown}`);
  const value = (name) => (Object.hasOwn(given, name) ? given[name] : undefined);
  return main(...names.map((name) => (dates.includes(name) ? dateOf(value(name), name) : value(name))));
}

function dateOf(value, name) {
  if (typeof value !== "string") return value;
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) throw new InvalidArguments([{ pointer: `/${name}`, message: "is not a date and time" }]);
  return date;
}

export async function call(main, args = {}, options = {}) {
  return resultOf(await applied(main, args, options));
}
