// Objects in memory. What is written is there once it is finished, as a whole.
import { bytesIn, denied, fail, hasControls, inOrder, isAfter } from "./world.js";

const KEY_BYTES_MAX = 1024;
const SEGMENT_BYTES_MAX = 255;

const stored = (segment) => [...segment].reduce((sum, letter) => sum + (letter <= "\x7f" ? 1 : 3 * bytesIn(letter)), 0);

export class Objects {
  #isFaked;
  #now;
  objects = new Map();

  // `objects` is undefined if the store is not faked.
  constructor(objects, now) {
    this.#isFaked = objects !== undefined;
    this.#now = now;
    for (const [key, data] of Object.entries(objects ?? {})) {
      this.objects.set(this.#key(key), { data: typeof data === "string" ? new TextEncoder().encode(data) : data, modified: now() });
    }
  }

  get(key) {
    const found = this.objects.get(this.#key(key));
    return found === undefined ? undefined : [about(key, found), { data: found.data }];
  }

  // All of it at once, then the end.
  read(reader) {
    const { data } = reader;
    reader.data = undefined;
    return data?.length > 0 ? data.slice() : undefined;
  }

  put(key, contentType) {
    return { key: this.#key(key), contentType, chunks: [] };
  }

  write(writer, chunk) {
    writer.chunks.push(chunk.slice());
  }

  finish({ key, contentType, chunks }) {
    const found = { data: new Uint8Array(Buffer.concat(chunks)), contentType, modified: this.#now() };
    this.objects.set(key, found);
    return about(key, found);
  }

  stat(key) {
    const found = this.objects.get(this.#key(key));
    return found === undefined ? undefined : about(key, found);
  }

  delete(key) {
    this.objects.delete(this.#key(key));
  }

  list(prefix, after, limit) {
    this.#granted();
    const fits = (key) => key.startsWith(prefix) && (after === undefined || isAfter(key, after));
    const keys = inOrder([...this.objects.keys()].filter(fits)).slice(0, limit);
    return keys.map((key) => about(key, { ...this.objects.get(key), contentType: undefined }));
  }

  #key(key) {
    this.#granted();
    const isWrong = key.split("/").some((segment) => ["", ".", ".."].includes(segment) || stored(segment) > SEGMENT_BYTES_MAX);
    if (isWrong || bytesIn(key) > KEY_BYTES_MAX || key.includes("\\") || hasControls(key)) {
      fail("invalid", `a key has 1 to ${KEY_BYTES_MAX} bytes, of segments between slashes, none of them empty, \`.\` or \`..\``);
    }
    return key;
  }

  #granted() {
    if (!this.#isFaked) denied("the object store", "blob: {}");
  }
}

const about = (key, { data, modified, contentType }) => [key, data.length, modified.getTime(), contentType];
