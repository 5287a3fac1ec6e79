// Request, Response and their bodies. There is no network behind them: see fetch.
import { Blob, bytesOf } from "./blob.js";
import { concat, toBytes } from "./bytes.js";
import { AbortController } from "./events.js";
import { FormData, decodeForm, encodeMultipart } from "./form-data.js";
import { Headers } from "./headers.js";
import { inspectSymbol } from "./inspect.js";
import { native } from "./native.js";
import { ReadableStream } from "./streams.js";
import { URLSearchParams } from "./url.js";

// Bytes or a stream of a body, and the content type that goes with it.
function extract(source) {
  if (source === undefined || source === null) return [null, null];
  if (source instanceof ReadableStream) return [source, null];
  if (source instanceof Blob) return [bytesOf(source), source.type || null];
  if (source instanceof FormData) return encodeMultipart(source);
  if (source instanceof URLSearchParams) {
    return [native.encode(source.toString()), "application/x-www-form-urlencoded;charset=UTF-8"];
  }
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return [toBytes(source, "body").slice(), null];
  return [native.encode(String(source)), "text/plain;charset=UTF-8"];
}

class Body {
  // null, bytes, or a stream
  #source;
  #used = false;

  constructor(source, headers) {
    const [content, type] = extract(source);
    this.#source = content;
    if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
    Object.defineProperty(this, "headers", { value: headers, enumerable: true });
  }

  get body() {
    if (this.#source instanceof Uint8Array) this.#source = new Blob([this.#source]).stream();
    return this.#source;
  }

  get bodyUsed() {
    return this.#used || (this.#source instanceof ReadableStream && isDisturbed(this.#source));
  }

  async bytes() {
    if (this.bodyUsed) throw new TypeError("Body has already been read");
    if (this.#source instanceof ReadableStream && this.#source.locked) throw new TypeError("Body is locked");
    this.#used = this.#source !== null;
    if (this.#source === null) return new Uint8Array(0);
    if (this.#source instanceof Uint8Array) return this.#source;
    const chunks = [];
    for await (const chunk of this.#source) chunks.push(typeof chunk === "string" ? native.encode(chunk) : toBytes(chunk, "body"));
    return concat(chunks);
  }

  async arrayBuffer() {
    return (await this.bytes()).slice().buffer;
  }

  async text() {
    return native.decode(await this.bytes(), false).replace(/^\ufeff/, "");
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async blob() {
    return new Blob([await this.bytes()], { type: this.headers.get("content-type") ?? "" });
  }

  async formData() {
    return decodeForm(await this.bytes(), this.headers.get("content-type") ?? "");
  }

  // What a copy starts from; a stream is split between the two.
  static share(body) {
    if (body.bodyUsed) throw new TypeError("Body has already been read");
    if (!(body.#source instanceof ReadableStream)) return body.#source;
    const [mine, other] = body.#source.tee();
    body.#source = mine;
    return other;
  }
}
const { share } = Body;
delete Body.share;

// The polyfill keeps this in a field that is part of its implementation of the standard.
const isDisturbed = (stream) => stream._disturbed === true;

const NULL_BODY = new Set([101, 103, 204, 205, 304]);

export class Response extends Body {
  constructor(body = null, { status = 200, statusText = "", headers } = {}) {
    const code = Number(status);
    if (!(code >= 200 && code <= 599)) throw new RangeError(`Response: the status ${status} is not between 200 and 599`);
    if (body !== null && body !== undefined && NULL_BODY.has(code)) {
      throw new TypeError(`Response: a response with status ${status} cannot have a body`);
    }
    super(body, new Headers(headers));
    Object.assign(this, { status: code, statusText: String(statusText), type: "default", url: "", redirected: false });
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  clone() {
    const copy = new Response(null, this);
    return Object.assign(new Response(share(this), { ...this, headers: this.headers }), { status: copy.status });
  }

  static json(value, init = {}) {
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError("Response.json: the value cannot be turned into JSON");
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(json, { ...init, headers });
  }

  static redirect(url, status = 302) {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`Response.redirect: invalid status ${status}`);
    return new Response(null, { status, headers: { location: String(url) } });
  }

  static error() {
    return Object.assign(new Response(), { status: 0, type: "error" });
  }

  [inspectSymbol]() {
    return { status: this.status, statusText: this.statusText, headers: this.headers, bodyUsed: this.bodyUsed };
  }
}

export class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : undefined;
    const method = String(init.method ?? from?.method ?? "GET");
    const upper = method.toUpperCase();
    const known = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"].includes(upper) ? upper : method;
    const body = init.body ?? (from === undefined ? null : share(from));
    if (body !== null && (known === "GET" || known === "HEAD")) {
      throw new TypeError(`Request: a ${known} request cannot have a body`);
    }
    super(body, new Headers(init.headers ?? from?.headers));
    const url = from?.url ?? new URL(String(input)).href;
    const signal = init.signal ?? from?.signal ?? new AbortController().signal;
    const redirect = init.redirect ?? from?.redirect ?? "follow";
    Object.assign(this, { method: known, url, signal, redirect });
  }

  clone() {
    return new Request(this);
  }

  [inspectSymbol]() {
    return { method: this.method, url: this.url, headers: this.headers, bodyUsed: this.bodyUsed };
  }
}

for (const [type, name] of [[Response, "Response"], [Request, "Request"]]) {
  Object.defineProperty(type.prototype, Symbol.toStringTag, { value: name, configurable: true });
}

export async function fetch() {
  throw new TypeError(
    "fetch is not available: outbound HTTP needs a grant, and this version of the platform has no such grant yet",
  );
}
