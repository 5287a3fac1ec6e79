// Blob and File, all in memory.
import { concat, toBytes } from "./bytes.js";
import { inspectSymbol } from "./inspect.js";
import { native } from "./native.js";
import { ReadableStream } from "./streams.js";

export class Blob {
  #bytes;
  #type;

  constructor(parts = [], { type = "", endings = "transparent" } = {}) {
    if (typeof parts !== "object" || parts === null || typeof parts[Symbol.iterator] !== "function") {
      throw new TypeError("Blob: the parts must be a sequence");
    }
    const chunks = Array.from(parts, (part) => {
      if (part instanceof Blob) return part.#bytes;
      if (ArrayBuffer.isView(part) || part instanceof ArrayBuffer) return toBytes(part, "Blob").slice();
      const text = String(part);
      return native.encode(endings === "native" ? text.replaceAll("\r\n", "\n") : text);
    });
    this.#bytes = concat(chunks);
    this.#type = /[^\x20-\x7e]/.test(type) ? "" : String(type).toLowerCase();
  }

  get size() {
    return this.#bytes.length;
  }

  get type() {
    return this.#type;
  }

  slice(start = 0, end = this.size, type = "") {
    return new Blob([this.#bytes.slice(start, end)], { type });
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  async text() {
    return native.decode(this.#bytes, false);
  }

  stream() {
    const bytes = this.#bytes.slice();
    return new ReadableStream({
      type: "bytes",
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
    });
  }

  [inspectSymbol]() {
    return { size: this.size, type: this.type };
  }

  static bytesOf(blob) {
    return blob.#bytes;
  }
}
// Without a copy, for the runtime alone.
export const { bytesOf } = Blob;
delete Blob.bytesOf;

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, options = {}) {
    super(parts, options);
    this.#name = String(name);
    this.#lastModified = options.lastModified ?? Date.now();
  }

  get name() {
    return this.#name;
  }

  get lastModified() {
    return this.#lastModified;
  }

  get webkitRelativePath() {
    return "";
  }

  [inspectSymbol]() {
    return { size: this.size, type: this.type, name: this.name, lastModified: this.lastModified };
  }
}

for (const [type, name] of [[Blob, "Blob"], [File, "File"]]) {
  Object.defineProperty(type.prototype, Symbol.toStringTag, { value: name, configurable: true });
}
