// Brokers: functions of the test.
import { fail } from "./world.js";

const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;

export class Brokers {
  #brokers;
  // What was sent, in its order.
  messages = [];

  constructor(brokers) {
    this.#brokers = brokers;
  }

  has(path) {
    return Object.hasOwn(this.#brokers, path);
  }

  publish({ path }, [to, id], payload, flat, kept) {
    if (!this.has(path)) fail("denied", `the broker ${path} is not faked: say new Fakes({ brokers: { "${path}": (message) => ({}) } })`);
    if (payload.byteLength > PAYLOAD_BYTES_MAX) fail("too-large", `a message has at most ${PAYLOAD_BYTES_MAX} bytes`);
    const headers = {};
    for (let at = 0; at < flat.length; at += 2) (headers[flat[at]] ??= []).push(flat[at + 1]);
    const message = { path, to, payload: payload.slice(), text: new TextDecoder().decode(payload), headers, id, kept };
    this.messages.push(message);
    const answer = this.#brokers[path](message) ?? {};
    if (typeof answer.then === "function") throw new TypeError("the fake of a broker cannot be async: messages are not awaited");
    return JSON.parse(JSON.stringify(answer));
  }
}
