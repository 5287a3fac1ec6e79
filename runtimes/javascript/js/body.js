// What requests and responses have in common: headers and a body.
import { Blob, bytesOf } from "./blob.js";
import { concat, toBytes } from "./bytes.js";
import { FormData, decodeForm, encodeMultipart } from "./form-data.js";
import { native } from "./native.js";
import { ReadableStream } from "./streams.js";
import { Transfer } from "./transfer.js";
import { URLSearchParams } from "./url.js";

// Bytes, a stream or a transfer, and the content type that goes with it.
function extract(source) {
  if (source === undefined || source === null) return [null, null];
  if (source instanceof ReadableStream || source instanceof Transfer) return [source, null];
  if (source instanceof Blob) return [bytesOf(source), source.type || null];
  if (source instanceof FormData) return encodeMultipart(source);
  if (source instanceof URLSearchParams) {
    return [native.encode(source.toString()), "application/x-www-form-urlencoded;charset=UTF-8"];
  }
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return [toBytes(source, "body").slice(), null];
  return [native.encode(String(source)), "text/plain;charset=UTF-8"];
}

export class Body {
  // null, bytes, a stream, or a transfer that nobody has looked into.
  #source;
  #used = false;

  constructor(source, headers) {
    const [content, type] = extract(source);
    this.#source = content;
    if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
    Object.defineProperty(this, "headers", { value: headers, enumerable: true });
  }

  get body() {
    // Streams are costly, and most bodies are read as a whole.
    if (this.#source instanceof Uint8Array) this.#source = new Blob([this.#source]).stream();
    else if (this.#source instanceof Transfer) this.#source = this.#source.stream();
    return this.#source;
  }

  get bodyUsed() {
    return this.#used || (this.#source instanceof ReadableStream && isDisturbed(this.#source));
  }

  #requireUnused() {
    if (this.bodyUsed) throw new TypeError("Body has already been read");
    if (this.#source instanceof ReadableStream && this.#source.locked) throw new TypeError("Body is locked");
  }

  async bytes() {
    this.#requireUnused();
    const source = take(this);
    if (source === null) return new Uint8Array(0);
    if (source instanceof Uint8Array) return source;
    if (source instanceof Transfer) return source.bytes();
    const chunks = [];
    for await (const chunk of source) chunks.push(typeof chunk === "string" ? native.encode(chunk) : toBytes(chunk, "body"));
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
    body.#requireUnused();
    if (body.#source instanceof Transfer) body.#source = body.#source.stream();
    if (!(body.#source instanceof ReadableStream)) return body.#source;
    const [mine, other] = body.#source.tee();
    body.#source = mine;
    return other;
  }

  // The content for whoever reads all of it.
  static take(body) {
    body.#requireUnused();
    body.#used = body.#source !== null;
    return body.#source;
  }
}
export const { share, take } = Body;
delete Body.share;
delete Body.take;

// The polyfill keeps this in a field that is part of its implementation of the standard.
const isDisturbed = (stream) => stream._disturbed === true;
