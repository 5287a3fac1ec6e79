// Request and Response.
import { Body, share, take } from "./body.js";
import { AbortController } from "./events.js";
import { Headers } from "./headers.js";
import { inspectSymbol } from "./inspect.js";
import { ReadableStream } from "./streams.js";
import { URL } from "./url.js";

// Their responses have no body.
export const NULL_BODY = new Set([101, 103, 204, 205, 304]);
export const REDIRECT = new Set([301, 302, 303, 307, 308]);

export class Response extends Body {
  constructor(body = null, init) {
    const { status = 200, statusText = "", headers } = init ?? {};
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
    const { status, statusText, type, url, redirected } = this;
    return Object.assign(new Response(share(this), { headers: this.headers }), { status, statusText, type, url, redirected });
  }

  static json(value, init = {}) {
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError("Response.json: the value cannot be turned into JSON");
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(json, { ...init, headers });
  }

  static redirect(url, status = 302) {
    if (!REDIRECT.has(status)) throw new RangeError(`Response.redirect: invalid status ${status}`);
    return new Response(null, { status, headers: { location: String(url) } });
  }

  static error() {
    return Object.assign(new Response(), { status: 0, type: "error" });
  }

  [inspectSymbol]() {
    return { status: this.status, statusText: this.statusText, headers: this.headers, bodyUsed: this.bodyUsed };
  }
}

const NORMALISED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

function toUrl(input) {
  const url = new URL(String(input));
  if (url.username === "" && url.password === "") return url.href;
  throw new TypeError("Request: a URL cannot have a user or password; send an Authorization header");
}

function toRedirect(redirect) {
  if (redirect === "follow" || redirect === "error" || redirect === "manual") return redirect;
  throw new TypeError(`Request: redirect is "follow", "error" or "manual", not "${redirect}"`);
}

export class Request extends Body {
  constructor(input, options) {
    const init = options ?? {};
    const from = input instanceof Request ? input : undefined;
    const url = from?.url ?? toUrl(input);
    const redirect = toRedirect(init.redirect ?? from?.redirect ?? "follow");
    const name = String(init.method ?? from?.method ?? "GET");
    const upper = name.toUpperCase();
    const method = NORMALISED.has(upper) ? upper : name;
    if (init.body instanceof ReadableStream && init.duplex !== "half") {
      throw new TypeError('Request: a body that is a stream needs duplex: "half"');
    }
    const body = init.body ?? (from === undefined ? null : take(from));
    if (body !== null && (method === "GET" || method === "HEAD")) {
      throw new TypeError(`Request: a ${method} request cannot have a body`);
    }
    super(body, new Headers(init.headers ?? from?.headers));
    const signal = init.signal ?? from?.signal ?? new AbortController().signal;
    Object.assign(this, { method, url, signal, redirect, duplex: "half" });
  }

  clone() {
    return new Request(this.url, { ...this, headers: this.headers, body: share(this) });
  }

  [inspectSymbol]() {
    return { method: this.method, url: this.url, headers: this.headers, bodyUsed: this.bodyUsed };
  }
}

for (const [type, name] of [[Response, "Response"], [Request, "Request"]]) {
  Object.defineProperty(type.prototype, Symbol.toStringTag, { value: name, configurable: true });
}
