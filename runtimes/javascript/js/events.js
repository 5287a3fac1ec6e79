// Event, EventTarget, AbortController, AbortSignal.
import { setTimeout } from "./timers.js";

export class Event {
  #stopped = false;
  #prevented = false;
  target = null;
  currentTarget = null;

  constructor(type, { bubbles = false, cancelable = false, composed = false } = {}) {
    Object.assign(this, { type: String(type), bubbles, cancelable, composed, isTrusted: false, timeStamp: 0 });
  }

  get defaultPrevented() {
    return this.#prevented;
  }

  preventDefault() {
    if (this.cancelable) this.#prevented = true;
  }

  stopPropagation() {}

  stopImmediatePropagation() {
    this.#stopped = true;
  }

  composedPath() {
    return this.target === null ? [] : [this.target];
  }

  static isStopped(event) {
    return event.#stopped;
  }
}
// For dispatchEvent alone.
const { isStopped } = Event;
delete Event.isStopped;

export class CustomEvent extends Event {
  constructor(type, options = {}) {
    super(type, options);
    this.detail = options.detail ?? null;
  }
}

export class EventTarget {
  #listeners = [];

  addEventListener(type, listener, options) {
    if (listener === null || listener === undefined) return;
    const { capture = false, once = false, signal } = typeof options === "object" && options !== null ? options : { capture: Boolean(options) };
    if (signal?.aborted) return;
    const known = this.#listeners.some((entry) => entry.type === type && entry.listener === listener && entry.capture === capture);
    if (known) return;
    this.#listeners.push({ type, listener, capture, once });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener, { capture }), { once: true });
  }

  removeEventListener(type, listener, options) {
    const capture = typeof options === "object" && options !== null ? Boolean(options.capture) : Boolean(options);
    this.#listeners = this.#listeners.filter(
      (entry) => entry.type !== type || entry.listener !== listener || entry.capture !== capture,
    );
  }

  dispatchEvent(event) {
    event.target = event.currentTarget = this;
    const handler = this[`on${event.type}`];
    const entries = this.#listeners.filter((entry) => entry.type === event.type);
    if (typeof handler === "function") entries.unshift({ listener: handler });
    for (const { listener, once, capture } of entries) {
      if (once) this.removeEventListener(event.type, listener, { capture });
      try {
        if (typeof listener === "function") listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        // A failing listener stops neither the others nor whoever dispatches; it shows as unhandled.
        Promise.reject(error);
      }
      if (isStopped(event)) break;
    }
    event.currentTarget = null;
    return !event.defaultPrevented;
  }
}

const key = Symbol("AbortSignal");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  onabort = null;

  constructor(secret) {
    if (secret !== key) throw new TypeError("Illegal constructor");
    super();
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }

  static abort(reason) {
    const signal = new AbortSignal(key);
    AbortSignal.#trigger(signal, reason);
    return signal;
  }

  static timeout(milliseconds) {
    const signal = new AbortSignal(key);
    const expire = () => AbortSignal.#trigger(signal, new DOMException("The operation timed out", "TimeoutError"));
    setTimeout(expire, milliseconds);
    return signal;
  }

  static any(signals) {
    const all = [...signals];
    const result = new AbortSignal(key);
    const aborted = all.find((signal) => signal.aborted);
    if (aborted !== undefined) AbortSignal.#trigger(result, aborted.reason);
    else {
      for (const signal of all) {
        signal.addEventListener("abort", () => AbortSignal.#trigger(result, signal.reason), { once: true });
      }
    }
    return result;
  }

  static #trigger(signal, reason) {
    if (signal.#aborted) return;
    signal.#aborted = true;
    signal.#reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
    signal.dispatchEvent(new Event("abort"));
  }

  static create() {
    const signal = new AbortSignal(key);
    return { signal, abort: (reason) => AbortSignal.#trigger(signal, reason) };
  }
}
// For AbortController alone.
const { create } = AbortSignal;
delete AbortSignal.create;

export class AbortController {
  #inner = create();

  get signal() {
    return this.#inner.signal;
  }

  abort(reason) {
    this.#inner.abort(reason);
  }
}
