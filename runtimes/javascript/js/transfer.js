// One request over the network and its answer, of which both bodies may be under way at once.
import { concat, toBytes } from "./bytes.js";
import { native } from "./native.js";
import { ReadableStream } from "./streams.js";

// What can be waited for; native/http.rs has the same numbers.
const HEAD = 0;
const UP = 1;
const DOWN = 2;

// A query may hold secrets, and so may what stands before the host.
const shown = (url) => `${url.origin}${url.pathname}`;

// `stack` is that of whoever called fetch, of which nothing is left once it was awaited.
export function failure({ url, stack }, text, cause) {
  const error = new TypeError(`fetch of ${shown(url)} failed: ${text}`, { cause });
  return Object.defineProperty(error, "stack", { value: stack, writable: true, configurable: true });
}

export class Transfer {
  #request;
  #exchange;
  #unfollow;
  #isOver = false;
  // {reason} if it is over because it failed.
  #failed;
  // Of the stream that goes up, as long as it does.
  #source;

  // `body` is null, bytes or a stream.
  constructor(request, signal) {
    const { method, url, headers, body } = request;
    this.#request = { url, stack: request.stack };
    const parts = [url.protocol.slice(0, -1), url.host, url.pathname + url.search];
    this.#exchange = this.#taken(native.httpSend(method, parts, [...headers].flat(), body !== null));
    // Weakly: a signal that lives long must not keep answers that nobody reads.
    const weak = new WeakRef(this);
    const abort = () => weak.deref()?.fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#unfollow = () => signal.removeEventListener("abort", abort);
    if (body !== null) this.#send(body);
  }

  #taken([value, code, text]) {
    if (code === undefined) return value;
    throw failure(this.#request, `${text} (${code})`, Object.assign(new Error(text), { code }));
  }

  // Breaks off what has not ended by itself.
  end(reason) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unfollow();
    native.httpEnd(this.#exchange);
    this.#source?.cancel(reason).catch(() => {});
  }

  fail(reason) {
    if (this.#isOver) return;
    this.#failed = { reason };
    this.end(reason);
  }

  async #ready(part) {
    await new Promise((resume) => native.httpWait(this.#exchange, part, resume));
    if (this.#failed !== undefined) throw this.#failed.reason;
  }

  async #send(body) {
    try {
      if (body instanceof Uint8Array) await this.#write(body);
      else await this.#pump(body.getReader());
      if (!this.#isOver) this.#taken(native.httpFinish(this.#exchange));
    } catch (error) {
      this.fail(error);
    }
  }

  async #pump(reader) {
    this.#source = reader;
    for (;;) {
      const chunk = await this.#chunkOf(reader);
      if (chunk === undefined || this.#isOver) break;
      // The other side may answer, and want no more, before it has seen all.
      if (!(await this.#write(chunk))) await reader.cancel();
    }
    this.#source = undefined;
  }

  async #chunkOf(reader) {
    try {
      const { done, value } = await reader.read();
      if (done) return undefined;
      return typeof value === "string" ? native.encode(value) : toBytes(value, "a body");
    } catch (error) {
      throw failure(this.#request, "its body could not be read", error);
    }
  }

  async #write(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const written = this.#taken(native.httpWrite(this.#exchange, bytes, at));
      if (written === undefined) return false;
      at += written;
      if (at < bytes.length) await this.#ready(UP);
    }
    return true;
  }

  // [status, names and values of headers in turn]
  async head() {
    try {
      for (;;) {
        const answer = native.httpAnswer(this.#exchange);
        if (answer !== undefined) return this.#taken(answer);
        await this.#ready(HEAD);
      }
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  // The next bytes of the answer's body; undefined at its end.
  async read() {
    for (;;) {
      if (this.#failed !== undefined) throw this.#failed.reason;
      if (this.#isOver) return undefined;
      const chunk = this.#take();
      if (chunk) return chunk;
      if (chunk === false) this.end();
      else await this.#ready(DOWN);
    }
  }

  #take() {
    try {
      return this.#taken(native.httpRead(this.#exchange));
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  async bytes() {
    const chunks = [];
    for (let chunk; (chunk = await this.read()) !== undefined; ) chunks.push(chunk);
    return concat(chunks);
  }

  stream() {
    return new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        const chunk = await this.read();
        if (chunk !== undefined) return controller.enqueue(chunk);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => this.end(),
    });
  }
}
