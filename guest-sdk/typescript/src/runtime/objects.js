// Objects under keys: `blob` of the module `sandmill`.
import { optionalText, pageSize } from "./arguments.js";
import { Blob, bytesOf } from "./blob.js";
import { concat, toBytes } from "./bytes.js";
import { Refused, taker } from "./errors.js";
import { native } from "./native.js";
import { ReadableStream } from "./streams.js";

export class BlobError extends Refused {}

const taken = taker(BlobError);

function about([key, size, modifiedMs, contentType]) {
  return { key, size, modified: new Date(modifiedMs), contentType };
}

// What `get` found. It is read once, from the begin to the end.
class StoredObject {
  #reader;

  constructor([facts, reader]) {
    Object.assign(this, about(facts));
    this.#reader = reader;
  }

  #use() {
    const reader = this.#reader;
    if (reader === undefined) throw new TypeError("the object has already been read: get it again");
    this.#reader = undefined;
    return reader;
  }

  stream() {
    const reader = this.#use();
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        const chunk = taken(native.blobRead(reader));
        if (chunk !== undefined) return controller.enqueue(chunk);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => native.blobEndReading(reader),
    });
  }

  async bytes() {
    const reader = this.#use();
    const chunks = [];
    for (let chunk; (chunk = taken(native.blobRead(reader))) !== undefined; ) chunks.push(chunk);
    return concat(chunks);
  }

  async text() {
    return native.decode(await this.bytes(), false);
  }

  async json() {
    return JSON.parse(await this.text());
  }
}

// Bytes or a stream. Not simply any value as text, which of an object would be "[object Object]".
function contentOf(data) {
  if (typeof data === "string") return native.encode(data);
  if (data instanceof ReadableStream) return data;
  if (data instanceof Blob) return bytesOf(data);
  if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) return toBytes(data, "blob.put");
  throw new TypeError("blob.put takes a string, bytes, a Blob or a ReadableStream");
}

export const blob = {
  async get(key) {
    const found = taken(native.blobGet(String(key)));
    return found === undefined ? undefined : new StoredObject(found);
  },
  async put(key, data, { contentType = data instanceof Blob && data.type !== "" ? data.type : undefined } = {}) {
    const content = contentOf(data);
    const writer = taken(native.blobPut(String(key), optionalText(contentType)));
    try {
      if (content instanceof Uint8Array) taken(native.blobWrite(writer, content));
      else {
        for await (const chunk of content) {
          taken(native.blobWrite(writer, typeof chunk === "string" ? native.encode(chunk) : toBytes(chunk, "blob.put")));
        }
      }
      return about(taken(native.blobFinish(writer)));
    } finally {
      native.blobEndWriting(writer);
    }
  },
  async stat(key) {
    const facts = taken(native.blobStat(String(key)));
    return facts === undefined ? undefined : about(facts);
  },
  async delete(key) {
    taken(native.blobDelete(String(key)));
  },
  async *list(prefix = "", { after, limit = Infinity } = {}) {
    let last = optionalText(after);
    for (let left = limit; ; ) {
      const asked = pageSize("blob.list", left);
      const page = asked === 0 ? [] : taken(native.blobList(String(prefix), last, asked));
      for (const facts of page) yield about(facts);
      if (page.length < asked || page.length === 0) return;
      last = page.at(-1)[0];
      left -= page.length;
    }
  },
};
