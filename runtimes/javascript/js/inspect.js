// Values as text, in the way of Node's util.inspect, for console and error messages.
const DEPTH_MAX = 2;
const ITEMS_MAX = 100;
const LINE_CHARACTERS_MAX = 72;
const STRING_CHARACTERS_MAX = 10_000;

const identifier = /^[A-Za-z_$][\w$]*$/;

function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

function primitive(value, nested) {
  switch (typeof value) {
    case "string": {
      if (!nested) return value;
      const rest = value.length - STRING_CHARACTERS_MAX;
      return rest <= 0 ? quote(value) : `${quote(value.slice(0, STRING_CHARACTERS_MAX))}... ${rest} more characters`;
    }
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    default:
      return String(value);
  }
}

function className(value) {
  for (let owner = value; owner !== null; owner = Object.getPrototypeOf(owner)) {
    const constructor = Object.getOwnPropertyDescriptor(owner, "constructor")?.value;
    if (typeof constructor === "function" && constructor.name !== "") return constructor.name;
  }
  return null;
}

function functionText(value) {
  const source = Function.prototype.toString.call(value);
  const name = typeof value.name === "string" ? value.name : "";
  if (source.startsWith("class")) return `[class ${name || "(anonymous)"}]`;
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  return name === "" ? `[${kind} (anonymous)]` : `[${kind}: ${name}]`;
}

function errorText(error) {
  const head = Error.prototype.toString.call(error);
  const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
  if (stack === "") return `[${head}]`;
  return stack.startsWith(head) ? stack : `${head}\n${stack}`;
}

class Inspector {
  constructor(depthMax) {
    this.depthMax = depthMax;
    this.open = [];
    // Objects that contain themselves, numbered.
    this.circular = new Map();
  }

  show(value, depth, nested) {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) return primitive(value, nested);
    if (this.open.includes(value)) {
      if (!this.circular.has(value)) this.circular.set(value, this.circular.size + 1);
      return `[Circular *${this.circular.get(value)}]`;
    }
    this.open.push(value);
    const text = this.object(value, depth);
    this.open.pop();
    const number = this.circular.get(value);
    return number === undefined ? text : `<ref *${number}> ${text}`;
  }

  object(value, depth) {
    const name = className(value);
    const prefix = name === null ? "[Object: null prototype] " : name === "Object" ? "" : `${name} `;
    if (typeof value === "function") return this.braces(functionText(value), this.properties(value, depth));
    if (value instanceof Error) return this.braces(errorText(value), this.errorProperties(value, depth));
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Number || value instanceof String || value instanceof Boolean) {
      return `[${name}: ${primitive(value.valueOf(), true)}]`;
    }
    if (depth > this.depthMax) return Array.isArray(value) ? "[Array]" : `[${name ?? "Object: null prototype"}]`;
    if (Array.isArray(value)) {
      const head = name === "Array" ? "" : `${prefix}(${value.length}) `;
      return this.group(head, "[", "]", [...this.items(value, depth), ...this.properties(value, depth, true)]);
    }
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return this.group(`${name}(${value.length}) `, "[", "]", this.items(value, depth));
    }
    if (value instanceof ArrayBuffer) {
      const bytes = [...new Uint8Array(value, 0, Math.min(value.byteLength, 50))];
      const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
      return `ArrayBuffer { [Uint8Contents]: <${hex}>, byteLength: ${value.byteLength} }`;
    }
    if (value instanceof Map) {
      const pairs = this.limited([...value], ([key, item]) => `${this.show(key, depth + 1, true)} => ${this.show(item, depth + 1, true)}`);
      return this.group(`${name}(${value.size}) `, "{", "}", [...pairs, ...this.properties(value, depth)]);
    }
    if (value instanceof Set) {
      const items = this.limited([...value], (item) => this.show(item, depth + 1, true));
      return this.group(`${name}(${value.size}) `, "{", "}", [...items, ...this.properties(value, depth)]);
    }
    const custom = value[inspectSymbol];
    if (typeof custom === "function") return `${prefix}${this.show(custom.call(value), depth, true)}`;
    return this.group(prefix, "{", "}", this.properties(value, depth));
  }

  braces(head, properties) {
    return properties.length === 0 ? head : this.group(`${head} `, "{", "}", properties);
  }

  limited(items, show) {
    const shown = items.slice(0, ITEMS_MAX).map(show);
    const rest = items.length - ITEMS_MAX;
    if (rest > 0) shown.push(`... ${rest} more item${rest > 1 ? "s" : ""}`);
    return shown;
  }

  items(array, depth) {
    const shown = [];
    let at = 0;
    for (; at < array.length && shown.length < ITEMS_MAX; at++) {
      if (at in array) {
        shown.push(this.show(array[at], depth + 1, true));
        continue;
      }
      const from = at;
      while (at + 1 < array.length && !(at + 1 in array)) at++;
      const holes = at - from + 1;
      shown.push(`<${holes} empty item${holes > 1 ? "s" : ""}>`);
    }
    const rest = array.length - at;
    if (rest > 0) shown.push(`... ${rest} more item${rest > 1 ? "s" : ""}`);
    return shown;
  }

  properties(value, depth, isArray = false) {
    const keys = Reflect.ownKeys(value).filter((key) => {
      if (isArray && typeof key === "string" && /^\d+$/.test(key)) return false;
      return Object.prototype.propertyIsEnumerable.call(value, key);
    });
    return this.limited(keys, (key) => this.property(value, key, depth));
  }

  property(value, key, depth) {
    const label = typeof key === "symbol" ? `[${String(key)}]` : identifier.test(key) ? key : quote(key);
    const { get, set, value: item } = Object.getOwnPropertyDescriptor(value, key);
    if (get !== undefined) return `${label}: [Getter${set === undefined ? "" : "/Setter"}]`;
    if (set !== undefined) return `${label}: [Setter]`;
    return `${label}: ${this.show(item, depth + 1, true)}`;
  }

  errorProperties(error, depth) {
    const shown = Object.keys(error)
      .filter((key) => key !== "name" && key !== "message" && key !== "stack" && key !== "cause" && key !== "errors")
      .map((key) => this.property(error, key, depth));
    if (Object.hasOwn(error, "cause")) shown.push(`[cause]: ${this.show(error.cause, depth + 1, true)}`);
    if (Object.hasOwn(error, "errors")) shown.push(`[errors]: ${this.show(error.errors, depth + 1, true)}`);
    return shown;
  }

  group(head, open, close, parts) {
    if (parts.length === 0) return `${head}${open}${close}`;
    const length = parts.reduce((sum, part) => sum + part.length + 2, head.length);
    if (length <= LINE_CHARACTERS_MAX && !parts.some((part) => part.includes("\n"))) {
      return `${head}${open} ${parts.join(", ")} ${close}`;
    }
    const lines = parts.map((part) => `  ${part.replaceAll("\n", "\n  ")}`);
    return `${head}${open}\n${lines.join(",\n")}\n${close}`;
  }
}

// A class of ours tells what to show of it, because its fields are private.
export const inspectSymbol = Symbol("inspect");

export function inspect(value, nested = true, depthMax = DEPTH_MAX) {
  try {
    return new Inspector(depthMax).show(value, 0, nested);
  } catch {
    // A getter or a proxy that throws, or nesting beyond the stack.
    return Object.prototype.toString.call(value);
  }
}

const directive = /%[sdifjoOc%]/g;

function directiveText(kind, value) {
  switch (kind) {
    case "%s":
      return typeof value === "string" ? value : inspect(value, true, 0);
    case "%d":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : String(Number(value));
    case "%i":
      return typeof value === "bigint" ? `${value}n` : String(Number.parseInt(value, 10));
    case "%f":
      return String(Number.parseFloat(value));
    case "%j":
      return JSON.stringify(value);
    case "%c":
      return "";
    default:
      return inspect(value, true, kind === "%o" ? 4 : DEPTH_MAX);
  }
}

// The arguments of console.log as one line of text.
export function format(values) {
  let rest = values;
  let text = "";
  if (typeof values[0] === "string" && values.length > 1 && values[0].includes("%")) {
    let used = 1;
    text = values[0].replace(directive, (kind) => {
      if (kind === "%%") return "%";
      return used < values.length ? directiveText(kind, values[used++]) : kind;
    });
    rest = values.slice(used);
    if (rest.length > 0) text += " ";
  }
  return text + rest.map((value) => inspect(value, false)).join(" ");
}
