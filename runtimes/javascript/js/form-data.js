// FormData, and the two encodings in which bodies carry it.
import { Blob, File, bytesOf } from "./blob.js";
import { concat } from "./bytes.js";
import { inspectSymbol } from "./inspect.js";
import { native } from "./native.js";
import { parseForm } from "./url.js";

export class FormData {
  #entries = [];

  append(name, value, fileName) {
    this.#entries.push([String(name).toWellFormed(), toValue(value, fileName)]);
  }

  delete(name) {
    this.#entries = this.#entries.filter(([key]) => key !== String(name));
  }

  get(name) {
    return this.#entries.find(([key]) => key === String(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#entries.filter(([key]) => key === String(name)).map(([, value]) => value);
  }

  has(name) {
    return this.#entries.some(([key]) => key === String(name));
  }

  set(name, value, fileName) {
    const first = this.#entries.findIndex(([key]) => key === String(name));
    if (first < 0) return this.append(name, value, fileName);
    this.#entries = this.#entries.filter(([key], at) => key !== String(name) || at === first);
    this.#entries[first] = [String(name), toValue(value, fileName)];
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#entries.length; at++) yield [...this.#entries[at]];
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
    return Object.fromEntries(this.#entries);
  }
}
Object.defineProperty(FormData.prototype, Symbol.toStringTag, { value: "FormData", configurable: true });

function toValue(value, fileName) {
  if (!(value instanceof Blob)) return String(value).toWellFormed();
  if (value instanceof File && fileName === undefined) return value;
  return new File([value], fileName ?? "blob", { type: value.type });
}

const escapeName = (name) => name.replace(/\r\n|\r|\n/g, "%0D%0A").replaceAll('"', "%22");

// [bytes, content type]
export function encodeMultipart(form) {
  const boundary = `----sandmill-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
  const chunks = [];
  for (const [name, value] of form) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"`;
    if (typeof value === "string") chunks.push(native.encode(`${head}\r\n\r\n${value}\r\n`));
    else {
      const type = value.type || "application/octet-stream";
      chunks.push(native.encode(`${head}; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`));
      chunks.push(bytesOf(value), native.encode("\r\n"));
    }
  }
  chunks.push(native.encode(`--${boundary}--\r\n`));
  return [concat(chunks), `multipart/form-data; boundary=${boundary}`];
}

export function decodeForm(bytes, contentType) {
  const form = new FormData();
  if (/^application\/x-www-form-urlencoded\b/i.test(contentType)) {
    for (const [name, value] of parseForm(native.decode(bytes, false))) form.append(name, value);
    return form;
  }
  const boundary = /^multipart\/form-data\b.*;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  if (boundary === null) throw new TypeError(`a body of type "${contentType}" is not form data`);
  decodeMultipart(bytes, boundary[1] ?? boundary[2], form);
  return form;
}

// Works on a string of one character per byte, because regular expressions and indexOf do.
function decodeMultipart(bytes, boundary, form) {
  const latin1 = new Array(Math.ceil(bytes.length / 4096));
  for (let at = 0; at * 4096 < bytes.length; at++) {
    latin1[at] = String.fromCharCode(...bytes.subarray(at * 4096, (at + 1) * 4096));
  }
  const body = `\r\n${latin1.join("")}`;
  // Positions in `bytes` are two behind, for the line break put in front.
  const segments = body.split(`\r\n--${boundary}`);
  let at = segments[0].length;
  for (const segment of segments.slice(1)) {
    at += 4 + boundary.length;
    const start = at - 2;
    at += segment.length;
    if (segment.startsWith("--")) return;
    const headEnd = segment.indexOf("\r\n\r\n");
    if (headEnd < 0) throw new TypeError("malformed multipart body");
    const head = native.decode(bytes.subarray(start, start + headEnd), false);
    const content = bytes.subarray(start + headEnd + 4, start + segment.length);
    appendPart(form, head, content);
  }
}

function appendPart(form, head, content) {
  const disposition = /^content-disposition:.*$/im.exec(head)?.[0] ?? "";
  const parameter = (name) => {
    const match = new RegExp(`[;\\s]${name}="([^"]*)"`, "i").exec(disposition);
    return match?.[1].replaceAll("%22", '"').replaceAll("%0D%0A", "\r\n");
  };
  const name = parameter("name");
  if (name === undefined) throw new TypeError("malformed multipart body: a part has no name");
  const fileName = parameter("filename");
  if (fileName === undefined) return form.append(name, native.decode(content, false));
  const type = /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1] ?? "text/plain";
  form.append(name, new File([content], fileName, { type }));
}
