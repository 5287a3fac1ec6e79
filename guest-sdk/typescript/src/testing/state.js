// State in memory, with the limits and the comparison of the real one.
import { isDeepStrictEqual } from "node:util";
import { bytesIn, fail, hasControls, inOrder, isAfter } from "./world.js";

const KEYS_MAX = 10_000;
const KEY_BYTES_MAX = 512;
const VALUE_BYTES_MAX = 1024 * 1024;

function valid(key) {
  if (key === "" || bytesIn(key) > KEY_BYTES_MAX || hasControls(key)) {
    fail("invalid-key", `a key has 1 to ${KEY_BYTES_MAX} bytes and no control characters`);
  }
  return key;
}

function check(json) {
  if (bytesIn(json) > VALUE_BYTES_MAX) fail("too-large", `a value has at most ${VALUE_BYTES_MAX} bytes of JSON`);
}

const parsed = (json) => (json === undefined ? undefined : JSON.parse(json));

// One script's, by one trigger.
export class State {
  #texts = new Map();

  constructor(values) {
    for (const [key, value] of Object.entries(values)) this.set(key, JSON.stringify(value));
  }

  get values() {
    return Object.fromEntries([...this.#texts].map(([key, json]) => [key, JSON.parse(json)]));
  }

  get(key) {
    return this.#texts.get(valid(key));
  }

  set(key, json) {
    check(json);
    if (!this.#texts.has(valid(key)) && this.#texts.size >= KEYS_MAX) fail("too-large", `there are ${KEYS_MAX} keys, which is the limit`);
    this.#texts.set(key, json);
  }

  delete(key) {
    this.#texts.delete(valid(key));
  }

  swap(key, expected, replacement) {
    for (const json of [expected, replacement]) if (json !== undefined) check(json);
    // Absent is not null: JSON has no undefined.
    if (!isDeepStrictEqual(parsed(this.get(key)), parsed(expected))) return false;
    if (replacement === undefined) this.delete(key);
    else this.set(key, replacement);
    return true;
  }

  list(prefix, after, limit) {
    if ([prefix, after ?? ""].some((text) => bytesIn(text) > KEY_BYTES_MAX)) {
      fail("invalid-key", `prefix and after have at most ${KEY_BYTES_MAX} bytes`);
    }
    const fits = (key) => key.startsWith(prefix) && (after === undefined || isAfter(key, after));
    return inOrder([...this.#texts.keys()].filter(fits)).slice(0, limit);
  }
}
