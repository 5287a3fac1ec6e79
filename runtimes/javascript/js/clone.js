// structuredClone.
import { Blob } from "./blob.js";

const refuse = (value) => new DOMException(`${describeKind(value)} could not be cloned`, "DataCloneError");

function describeKind(value) {
  if (typeof value === "symbol") return value.toString();
  if (typeof value === "function") return `the function ${value.name || "(anonymous)"}`;
  return Object.prototype.toString.call(value);
}

const errorTypes = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

class Cloner {
  constructor(transferred) {
    this.known = new Map();
    for (const buffer of transferred) {
      if (!(buffer instanceof ArrayBuffer) || buffer.detached) throw refuse(buffer);
      this.known.set(buffer, undefined);
    }
    for (const buffer of transferred) this.known.set(buffer, buffer.transfer());
  }

  clone(value) {
    if (typeof value === "function" || typeof value === "symbol") throw refuse(value);
    if (typeof value !== "object" || value === null) return value;
    if (this.known.has(value)) return this.known.get(value);
    return this.special(value) ?? this.plain(value);
  }

  keep(original, copy) {
    this.known.set(original, copy);
    return copy;
  }

  special(value) {
    if (value instanceof Date) return this.keep(value, new Date(value.getTime()));
    if (value instanceof RegExp) return this.keep(value, new RegExp(value.source, value.flags));
    if (value instanceof Boolean || value instanceof Number || value instanceof String) {
      return this.keep(value, Object(value.valueOf()));
    }
    if (value instanceof ArrayBuffer) return this.keep(value, value.slice());
    if (ArrayBuffer.isView(value)) {
      const buffer = this.clone(value.buffer);
      const Type = value.constructor;
      const length = value instanceof DataView ? value.byteLength : value.length;
      return this.keep(value, new Type(buffer, value.byteOffset, length));
    }
    if (value instanceof Map) {
      const copy = this.keep(value, new Map());
      for (const [key, item] of [...value]) copy.set(this.clone(key), this.clone(item));
      return copy;
    }
    if (value instanceof Set) {
      const copy = this.keep(value, new Set());
      for (const item of [...value]) copy.add(this.clone(item));
      return copy;
    }
    if (value instanceof Error) return this.error(value);
    if (value instanceof Blob) return this.keep(value, value);
    const isOpaque = value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef;
    if (isOpaque) throw refuse(value);
    return undefined;
  }

  error(error) {
    const Type = errorTypes[error.name] ?? Error;
    const copy = this.keep(error, new Type(String(error.message)));
    Object.defineProperty(copy, "stack", { value: error.stack, writable: true, configurable: true });
    if (Object.hasOwn(error, "cause")) {
      Object.defineProperty(copy, "cause", { value: this.clone(error.cause), writable: true, configurable: true });
    }
    return copy;
  }

  plain(value) {
    const copy = this.keep(value, Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) {
      Object.defineProperty(copy, key, { value: this.clone(value[key]), writable: true, enumerable: true, configurable: true });
    }
    return copy;
  }
}

export function structuredClone(value, { transfer = [] } = {}) {
  return new Cloner([...transfer]).clone(value);
}
