// Headers of requests and responses.
import { inspectSymbol } from "./inspect.js";

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function toName(name) {
  const text = String(name);
  if (!token.test(text)) throw new TypeError(`Invalid header name: ${JSON.stringify(text)}`);
  return text.toLowerCase();
}

function toValue(value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\r\n\u0100-\uffff]/.test(text)) throw new TypeError("Invalid header value");
  return text;
}

export class Headers {
  #values = new Map();

  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init !== "object") throw new TypeError("Headers: the initial value must be an object");
    const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const pair of pairs) {
      const [name, value, ...rest] = pair;
      if (value === undefined || rest.length > 0) throw new TypeError("Headers: each header must be a [name, value] pair");
      this.append(name, value);
    }
  }

  append(name, value) {
    const key = toName(name);
    const known = this.#values.get(key);
    if (known === undefined) this.#values.set(key, [toValue(value)]);
    else known.push(toValue(value));
  }

  delete(name) {
    this.#values.delete(toName(name));
  }

  get(name) {
    return this.#values.get(toName(name))?.join(", ") ?? null;
  }

  getSetCookie() {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  has(name) {
    return this.#values.has(toName(name));
  }

  set(name, value) {
    this.#values.set(toName(name), [toValue(value)]);
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  // Sorted by name; only set-cookie cannot be joined.
  *entries() {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name);
      if (name !== "set-cookie") yield [name, values.join(", ")];
      else for (const value of values) yield [name, value];
    }
  }

  *keys() {
    for (const [name] of this.entries()) yield name;
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  [inspectSymbol]() {
    return Object.fromEntries(this);
  }
}
Object.defineProperty(Headers.prototype, Symbol.toStringTag, { value: "Headers", configurable: true });
