// TextEncoder, TextDecoder and their streams; UTF-8 is Rust's.
import { TransformStream } from "./streams.js";
import { native } from "./native.js";
import { toBytes } from "./bytes.js";

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    return native.encode(String(text));
  }

  encodeInto(text, destination) {
    let read = 0;
    let written = 0;
    for (const character of String(text)) {
      const bytes = native.encode(character);
      if (written + bytes.length > destination.length) break;
      destination.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

const labels = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8"],
  "utf-16le": ["utf-16le", "utf-16", "ucs-2", "unicode"],
  "utf-16be": ["utf-16be"],
  "windows-1252": ["windows-1252", "latin1", "iso-8859-1", "iso8859-1", "ascii", "us-ascii", "cp1252", "l1"],
};

// Where windows-1252 is not Latin-1: 0x80 to 0x9f.
const windows1252 =
  "\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f" +
  "\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178";

const decoders = {
  "utf-8": (bytes, fatal) => native.decode(bytes, fatal),
  "utf-16le": (bytes, fatal) => utf16(bytes, fatal, 0),
  "utf-16be": (bytes, fatal) => utf16(bytes, fatal, 1),
  "windows-1252": (bytes) =>
    Array.from(bytes, (byte) => (byte >= 0x80 && byte < 0xa0 ? windows1252[byte - 0x80] : String.fromCharCode(byte))).join(""),
};

function utf16(bytes, fatal, high) {
  let text = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    text += String.fromCharCode((bytes[at + 1 - high] << 8) | bytes[at + high]);
  }
  if (bytes.length % 2 === 1) text += "\ud800";
  if (fatal && !text.isWellFormed()) throw new TypeError("The encoded data was not valid utf-16");
  return text.toWellFormed();
}

// Bytes at the end that the next chunk has to complete.
const tails = {
  "utf-8": (bytes) => native.incompleteTail(bytes),
  "utf-16le": (bytes) => utf16Tail(bytes, 0),
  "utf-16be": (bytes) => utf16Tail(bytes, 1),
  "windows-1252": () => 0,
};

function utf16Tail(bytes, high) {
  const odd = bytes.length % 2;
  const last = bytes.length - odd - 2;
  const isLead = last >= 0 && (bytes[last + 1 - high] & 0xfc) === 0xd8;
  return odd + (isLead ? 2 : 0);
}

export class TextDecoder {
  #encoding;
  #rest = new Uint8Array(0);
  #atStart = true;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    const wanted = String(label).trim().toLowerCase();
    this.#encoding = Object.keys(labels).find((name) => labels[name].includes(wanted));
    if (this.#encoding === undefined) throw new RangeError(`The encoding "${label}" is not supported`);
    this.fatal = Boolean(fatal);
    this.ignoreBOM = Boolean(ignoreBOM);
  }

  get encoding() {
    return this.#encoding;
  }

  decode(input, { stream = false } = {}) {
    let bytes = input === undefined ? new Uint8Array(0) : toBytes(input, "TextDecoder.decode");
    if (this.#rest.length > 0) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    const kept = stream ? tails[this.#encoding](bytes) : 0;
    this.#rest = kept === 0 ? new Uint8Array(0) : bytes.slice(bytes.length - kept);
    let text = decoders[this.#encoding](kept === 0 ? bytes : bytes.subarray(0, bytes.length - kept), this.fatal);
    if (this.#atStart && !this.ignoreBOM && text.startsWith("\ufeff")) text = text.slice(1);
    this.#atStart = !stream || (this.#atStart && text === "");
    return text;
  }
}

export class TextEncoderStream extends TransformStream {
  constructor() {
    // Half of a surrogate pair waits for its other half.
    let half = "";
    const encode = (text, controller) => {
      if (text !== "") controller.enqueue(native.encode(text));
    };
    super({
      transform(chunk, controller) {
        let text = half + String(chunk);
        half = /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
        encode(half === "" ? text : text.slice(0, -1), controller);
      },
      flush: (controller) => encode(half, controller),
    });
    this.encoding = "utf-8";
  }
}

export class TextDecoderStream extends TransformStream {
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    const put = (text, controller) => {
      if (text !== "") controller.enqueue(text);
    };
    super({
      transform: (chunk, controller) => put(decoder.decode(chunk, { stream: true }), controller),
      flush: (controller) => put(decoder.decode(), controller),
    });
    this.encoding = decoder.encoding;
    this.fatal = decoder.fatal;
    this.ignoreBOM = decoder.ignoreBOM;
  }
}
