// In the place of the runtime's own: what Node shows of a value.
import { inspect as show } from "node:util";

export const inspectSymbol = Symbol.for("nodejs.util.inspect.custom");

export const inspect = (value, nested = true) => (typeof value === "string" && !nested ? value : show(value));
