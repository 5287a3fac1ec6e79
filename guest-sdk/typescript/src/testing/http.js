// Requests: answered by a function of the test, which sees the secrets in the place of what stands for them.
import { Failure, denied } from "./world.js";

const REDIRECTS_MAX = 20;
const REDIRECT = new Set([301, 302, 303, 307, 308]);
const NULL_BODY = new Set([101, 204, 205, 304]);
const CONTENT_HEADERS = ["content-encoding", "content-language", "content-length", "content-location", "content-type"];
const CREDENTIALS = ["authorization", "cookie", "proxy-authorization"];

// A query may hold secrets.
function failure(url, text, cause) {
  return new TypeError(`fetch of ${url.origin}${url.pathname} failed: ${text}`, { cause });
}

export class Http {
  #answers;
  #vault;
  // As they were sent.
  requests = [];

  constructor(answers, vault) {
    this.#answers = answers;
    this.#vault = vault;
  }

  async fetch(input, init = {}) {
    const request = new Request(input, init);
    const { signal, redirect } = request;
    signal.throwIfAborted();
    const url = new URL(request.url);
    if (!/^https?:$/.test(url.protocol)) {
      throw new TypeError(`fetch: the scheme of a URL must be http or https, not ${url.protocol.slice(0, -1)}`);
    }
    const headers = new Headers(request.headers);
    if (!headers.has("accept")) headers.set("accept", "*/*");
    if (!headers.has("user-agent")) headers.set("user-agent", "sandmill");
    const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer());
    let next = { method: request.method, url, headers, body };
    for (let redirects = 0; ; redirects++) {
      const response = await abortable(this.#send(next), signal);
      const location = REDIRECT.has(response.status) && redirect !== "manual" ? response.headers.get("location") : null;
      if (location === null) return respond(response, next, redirects > 0);
      if (redirect === "error") throw failure(next.url, "it was redirected");
      if (redirects === REDIRECTS_MAX) throw failure(next.url, `it was redirected more than ${REDIRECTS_MAX} times`);
      next = redirected(next, response.status, location);
    }
  }

  async #send(request) {
    const revealed = this.#revealed(request);
    const whole = new Request(revealed.url, { ...revealed, duplex: "half" });
    this.requests.push({ ...revealed, text: () => text(revealed.body), json: () => JSON.parse(text(revealed.body)) });
    try {
      return asResponse(await this.#answer(whole, request));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw failure(request.url, `${error.message} (${error.code})`, Object.assign(new Error(error.message), { code: error.code }));
    }
  }

  // `shown` is the request without secrets, for what is said of it.
  #answer(request, shown) {
    const answers = this.#answers;
    if (typeof answers === "function") return answers(request);
    const bare = request.url.split("?")[0];
    const key = [request.url, bare].map((url) => `${request.method} ${url}`).find((key) => Object.hasOwn(answers ?? {}, key));
    if (key === undefined) {
      const what = `${shown.method} ${shown.url.origin}${shown.url.pathname}`;
      denied(what, `http: { "${what}": … }`, "HTTP-request-denied");
    }
    return typeof answers[key] === "function" ? answers[key](request) : answers[key];
  }

  #revealed({ method, url, headers, body }) {
    let address = url.href;
    let content = body === null ? null : Buffer.from(body).toString("latin1");
    const fields = new Headers(headers);
    for (const [mark, secret] of this.#vault.texts) {
      const escaped = encodeURIComponent(secret);
      const bytes = Buffer.from(secret).toString("latin1");
      const inUrl = [mark, encodeURIComponent(mark), encodeURI(mark)];
      for (const form of inUrl) address = address.replaceAll(form, () => escaped);
      content = content?.replaceAll(mark, () => bytes).replaceAll(encodeURIComponent(mark), () => escaped) ?? null;
      for (const [name, value] of headers) if (value.includes(mark)) fields.set(name, fields.get(name).replaceAll(mark, () => secret));
    }
    return { method, url: address, headers: fields, body: content === null ? null : new Uint8Array(Buffer.from(content, "latin1")) };
  }
}

const text = (body) => new TextDecoder().decode(body ?? new Uint8Array());

// Anything else than a Response is the JSON of one. It may be given again and again.
const asResponse = (answer) => (answer instanceof Response ? answer.clone() : Response.json(answer ?? null));

function abortable(work, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function respond(response, { method, url }, isRedirected) {
  const isEmpty = method === "HEAD" || NULL_BODY.has(response.status);
  const { status, statusText, headers } = response;
  const answer = new Response(isEmpty ? null : response.body, { status, statusText, headers });
  const plain = new URL(url);
  plain.hash = "";
  for (const [name, value] of Object.entries({ url: plain.href, redirected: isRedirected, type: "basic" })) {
    Object.defineProperty(answer, name, { value });
  }
  return answer;
}

function redirected(last, status, location) {
  const url = URL.canParse(location, last.url) ? new URL(location, last.url) : null;
  if (url === null) throw failure(last.url, "it was redirected to what is not a URL");
  const headers = new Headers(last.headers);
  let { method, body } = last;
  const becomesGet = status === 303 ? method !== "GET" && method !== "HEAD" : status < 303 && method === "POST";
  if (becomesGet) {
    method = "GET";
    body = null;
    for (const name of CONTENT_HEADERS) headers.delete(name);
  }
  if (url.origin !== last.url.origin) for (const name of CREDENTIALS) headers.delete(name);
  return { method, url, headers, body };
}
