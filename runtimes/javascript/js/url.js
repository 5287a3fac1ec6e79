// URL and URLSearchParams; the parsing is Rust's.
import { inspectSymbol } from "./inspect.js";
import { native } from "./native.js";

const parts = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

export class URLSearchParams {
  #pairs;
  #changed = undefined;

  constructor(init = "") {
    this.#pairs = toPairs(init);
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#pairs.push([text(name), text(value)]);
    this.#changed?.();
  }

  delete(name, value) {
    this.#pairs = this.#pairs.filter(([key, item]) => key !== text(name) || (value !== undefined && item !== text(value)));
    this.#changed?.();
  }

  get(name) {
    return this.#pairs.find(([key]) => key === text(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter(([key]) => key === text(name)).map(([, value]) => value);
  }

  has(name, value) {
    return this.#pairs.some(([key, item]) => key === text(name) && (value === undefined || item === text(value)));
  }

  set(name, value) {
    const first = this.#pairs.findIndex(([key]) => key === text(name));
    if (first < 0) return this.append(name, value);
    this.#pairs = this.#pairs.filter(([key], at) => key !== text(name) || at === first);
    this.#pairs[first] = [text(name), text(value)];
    this.#changed?.();
  }

  sort() {
    this.#pairs.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    this.#changed?.();
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#pairs.length; at++) yield [...this.#pairs[at]];
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

  toString() {
    return native.serializeForm(this.#pairs.flat());
  }

  [inspectSymbol]() {
    return Object.fromEntries(this.#pairs);
  }

  // How a URL and its searchParams follow each other.
  static bind(params, query, changed) {
    params.#pairs = parseForm(query);
    params.#changed = changed;
  }
}
const { bind } = URLSearchParams;
delete URLSearchParams.bind;

const text = (value) => String(value).toWellFormed();

export function parseForm(query) {
  const flat = native.parseForm(query);
  return Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]]);
}

function toPairs(init) {
  if (init === null || typeof init !== "object") return parseForm(text(init).replace(/^\?/, ""));
  if (typeof init[Symbol.iterator] !== "function") return Object.entries(init).map((pair) => pair.map(text));
  return Array.from(init, (pair) => {
    const items = [...pair];
    if (items.length !== 2) throw new TypeError("Each query pair must be a [name, value] tuple");
    return items.map(text);
  });
}

export class URL {
  #parts;
  #params = undefined;

  constructor(url, base) {
    this.#parts = native.parseUrl(String(url), base === undefined ? undefined : String(base));
    if (this.#parts === undefined || this.#parts === null) throw invalid(url);
  }

  static parse(url, base) {
    return URL.canParse(url, base) ? new URL(url, base) : null;
  }

  static canParse(url, base) {
    return Boolean(native.parseUrl(String(url), base === undefined ? undefined : String(base)));
  }

  get searchParams() {
    if (this.#params === undefined) {
      this.#params = new URLSearchParams();
      this.#follow();
    }
    return this.#params;
  }

  #follow() {
    if (this.#params === undefined) return;
    bind(this.#params, this.search.slice(1), () => {
      this.#parts = native.changeUrl(this.href, "search", this.#params.toString());
    });
  }

  static {
    parts.forEach((name, at) => {
      const set = function (value) {
        if (name !== "href") this.#parts = native.changeUrl(this.#parts[0], name, String(value));
        else this.#parts = native.parseUrl(String(value)) ?? raise(invalid(value));
        if (name === "href" || name === "search") this.#follow();
      };
      const get = function () {
        return this.#parts[at];
      };
      const descriptor = { get, set: name === "origin" ? undefined : set, enumerable: true, configurable: true };
      Object.defineProperty(URL.prototype, name, descriptor);
    });
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }

  [inspectSymbol]() {
    return Object.fromEntries(parts.map((name) => [name, this[name]]));
  }
}

function invalid(url) {
  const error = new TypeError("Invalid URL");
  error.code = "ERR_INVALID_URL";
  error.input = String(url);
  return error;
}

function raise(error) {
  throw error;
}
