// fetch: requests, and the redirects that they lead to. Each of those is a request like any other, which the host judges anew.
import { take } from "./body.js";
import { Headers } from "./headers.js";
import { NULL_BODY, REDIRECT, Request, Response } from "./http.js";
import { native } from "./native.js";
import { Transfer, failure } from "./transfer.js";
import { URL } from "./url.js";

const REDIRECTS_MAX = 20;

// Of a body that is not sent to where a redirect leads.
const CONTENT_HEADERS = ["content-encoding", "content-language", "content-length", "content-location", "content-type"];
// Meant for the origin that they were first sent to.
const CREDENTIALS = ["authorization", "cookie", "proxy-authorization"];

export async function fetch(input, init = {}) {
  native.requireOpen("fetch");
  const { stack } = new Error();
  const request = new Request(input, init);
  const { signal, redirect } = request;
  if (signal.aborted) {
    if (!request.bodyUsed) request.body?.cancel(signal.reason).catch(() => {});
    throw signal.reason;
  }
  let next = firstOf(request, stack);
  for (let redirects = 0; ; redirects++) {
    signal.throwIfAborted();
    const transfer = new Transfer(next, signal);
    const [status, flat] = await transfer.head();
    const headers = new Headers();
    for (let at = 0; at < flat.length; at += 2) headers.append(flat[at], flat[at + 1]);
    const location = REDIRECT.has(status) && redirect !== "manual" ? headers.get("location") : null;
    if (location === null) return respond(next, transfer, { status, headers, redirected: redirects > 0 });
    transfer.end();
    if (redirect === "error") throw failure(next, "it was redirected");
    if (redirects === REDIRECTS_MAX) throw failure(next, `it was redirected more than ${REDIRECTS_MAX} times`);
    next = redirected(next, status, location);
  }
}

const isHttp = (url) => url.protocol === "http:" || url.protocol === "https:";

function firstOf(request, stack) {
  const { method } = request;
  const url = new URL(request.url);
  if (!isHttp(url)) throw new TypeError(`fetch: the scheme of a URL must be http or https, not ${url.protocol.slice(0, -1)}`);
  const headers = new Headers(request.headers);
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (!headers.has("user-agent")) headers.set("user-agent", "sandmill");
  const body = take(request);
  if (body instanceof Uint8Array) headers.set("content-length", body.length);
  else if (body === null && (method === "POST" || method === "PUT")) headers.set("content-length", 0);
  return { method, url, headers, body, stack };
}

function respond({ method, url }, transfer, { status, headers, redirected }) {
  const isEmpty = method === "HEAD" || NULL_BODY.has(status);
  if (isEmpty) transfer.end();
  const response = new Response(isEmpty ? null : transfer);
  for (const [name, value] of headers) response.headers.append(name, value);
  return Object.assign(response, { status, type: "basic", url: withoutFragment(url), redirected });
}

function withoutFragment(url) {
  const copy = new URL(url);
  copy.hash = "";
  return copy.href;
}

function redirected(last, status, location) {
  const url = follow(last, location);
  const headers = new Headers(last.headers);
  let { method, body } = last;
  if (status !== 303 && body !== null && !(body instanceof Uint8Array)) {
    throw failure(last, "it was redirected, and its body was a stream, which cannot be sent twice");
  }
  const becomesGet = status === 303 ? method !== "GET" && method !== "HEAD" : status < 303 && method === "POST";
  if (becomesGet) {
    method = "GET";
    body = null;
    for (const name of CONTENT_HEADERS) headers.delete(name);
  }
  if (url.origin !== last.url.origin) for (const name of CREDENTIALS) headers.delete(name);
  return { ...last, method, url, headers, body };
}

function follow(last, location) {
  // Headers are Latin-1 to us; servers write UTF-8.
  const bytes = Uint8Array.from(location, (character) => character.charCodeAt(0));
  const url = URL.parse(native.decode(bytes, false), last.url);
  if (url === null) throw failure(last, "it was redirected to what is not a URL");
  if (!isHttp(url)) throw failure(last, `it was redirected to a URL with the scheme ${url.protocol.slice(0, -1)}`);
  if (url.username !== "" || url.password !== "") throw failure(last, "it was redirected to a URL with a user or password");
  if (url.hash === "") url.hash = last.url.hash;
  return url;
}
