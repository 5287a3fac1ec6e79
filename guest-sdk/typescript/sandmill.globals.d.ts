// The globals of the runtime.

// Timers. Not at the top level of a script.

declare function setTimeout<A extends unknown[]>(callback: (...args: A) => void, delayMs?: number, ...args: A): number;
declare function setInterval<A extends unknown[]>(callback: (...args: A) => void, periodMs?: number, ...args: A): number;
declare function setImmediate<A extends unknown[]>(callback: (...args: A) => void, ...args: A): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;
declare function clearImmediate(id?: number): void;
declare function queueMicrotask(callback: () => void): void;

declare const performance: { now(): number; readonly timeOrigin: number; toJSON(): { timeOrigin: number } };

// Console: lines of the run's log.

interface Console {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  assert(condition?: unknown, ...values: unknown[]): void;
  dir(value: unknown): void;
  dirxml(...values: unknown[]): void;
  table(data: unknown, columns?: string[]): void;
  group(...values: unknown[]): void;
  groupCollapsed(...values: unknown[]): void;
  groupEnd(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  time(label?: string): void;
  timeLog(label?: string, ...values: unknown[]): void;
  timeEnd(label?: string): void;
}
declare var console: Console;

// Text and bytes.

type BufferSource = ArrayBufferView | ArrayBuffer;

declare function atob(base64: string): string;
declare function btoa(bytes: string): string;
declare function structuredClone<T>(value: T, options?: { transfer?: ArrayBuffer[] }): T;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
  encodeInto(text: string, destination: Uint8Array): { read: number; written: number };
}

/** Knows utf-8, utf-16le, utf-16be and windows-1252 (and their labels). */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: BufferSource, options?: { stream?: boolean }): string;
}

declare class TextEncoderStream {
  readonly encoding: "utf-8";
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<string>;
}

declare class TextDecoderStream {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<BufferSource>;
}

// URLs.

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  toString(): string;
  toJSON(): string;
}

declare class URLSearchParams {
  constructor(init?: string | Record<string, string> | Iterable<readonly [string, string]>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}

// Events and cancellation.

declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}

declare class Event {
  constructor(type: string, options?: { bubbles?: boolean; cancelable?: boolean; composed?: boolean });
  readonly type: string;
  readonly target: EventTarget | null;
  readonly currentTarget: EventTarget | null;
  readonly cancelable: boolean;
  readonly defaultPrevented: boolean;
  preventDefault(): void;
  stopPropagation(): void;
  stopImmediatePropagation(): void;
}

declare class CustomEvent<T = any> extends Event {
  constructor(type: string, options?: { bubbles?: boolean; cancelable?: boolean; composed?: boolean; detail?: T });
  readonly detail: T;
}

type EventListener = ((event: any) => void) | { handleEvent(event: any): void };

declare class EventTarget {
  addEventListener(type: string, listener: EventListener | null, options?: boolean | { capture?: boolean; once?: boolean; signal?: AbortSignal }): void;
  removeEventListener(type: string, listener: EventListener | null, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: Event): boolean;
}

declare class AbortSignal extends EventTarget {
  private constructor();
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: Event) => void) | null;
  throwIfAborted(): void;
  static abort(reason?: unknown): AbortSignal;
  static timeout(milliseconds: number): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

// Bodies.

declare class Blob {
  constructor(parts?: Iterable<BufferSource | Blob | string>, options?: { type?: string; endings?: "transparent" | "native" });
  readonly size: number;
  readonly type: string;
  slice(start?: number, end?: number, type?: string): Blob;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  stream(): ReadableStream<Uint8Array>;
}

declare class File extends Blob {
  constructor(parts: Iterable<BufferSource | Blob | string>, name: string, options?: { type?: string; lastModified?: number });
  readonly name: string;
  readonly lastModified: number;
}

declare class FormData {
  append(name: string, value: string | Blob, fileName?: string): void;
  delete(name: string): void;
  get(name: string): string | File | null;
  getAll(name: string): (string | File)[];
  has(name: string): boolean;
  set(name: string, value: string | Blob, fileName?: string): void;
  forEach(callback: (value: string | File, name: string, form: FormData) => void): void;
  entries(): IterableIterator<[string, string | File]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string | File>;
  [Symbol.iterator](): IterableIterator<[string, string | File]>;
}

type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>;
type BodyInit = ReadableStream | Blob | BufferSource | FormData | URLSearchParams | string;

declare class Headers {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(callback: (value: string, name: string, headers: Headers) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

interface Body {
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  bytes(): Promise<Uint8Array>;
  formData(): Promise<FormData>;
  json(): Promise<any>;
  text(): Promise<string>;
}

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  signal?: AbortSignal | null;
  /** At most 20 are followed. With `manual` the answer that redirects is the result. */
  redirect?: "follow" | "error" | "manual";
  /** Needed if the body is a stream. The answer may begin before all of it was sent. */
  duplex?: "half";
}

interface Request extends Body {
  readonly method: string;
  readonly url: string;
  readonly signal: AbortSignal;
  readonly redirect: string;
  clone(): Request;
}
declare const Request: { new (input: string | URL | Request, init?: RequestInit): Request; readonly prototype: Request };

interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}

/** As a result of `main` it is the HTTP answer: status, headers and body. */
interface Response extends Body {
  readonly ok: boolean;
  readonly redirected: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly type: string;
  readonly url: string;
  clone(): Response;
}
declare const Response: {
  new (body?: BodyInit | null, init?: ResponseInit): Response;
  readonly prototype: Response;
  json(value: unknown, init?: ResponseInit): Response;
  redirect(url: string | URL, status?: number): Response;
  error(): Response;
};

/**
 * A request over HTTP. Granted by origin, methods and path: `[grants] http = ["GET,POST https://api.example.com/v1"]`. Not at the top level of a
 * script. What goes wrong on the way is a `TypeError` whose `cause` has the `code` that `wasi:http` has for it, e.g. `HTTP-request-denied`; what a
 * signal aborts rejects with its reason.
 */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

// Streams.

interface QueuingStrategy<T = any> {
  highWaterMark?: number;
  size?: (chunk: T) => number;
}
declare class CountQueuingStrategy implements QueuingStrategy {
  constructor(options: { highWaterMark: number });
  readonly highWaterMark: number;
}
declare class ByteLengthQueuingStrategy implements QueuingStrategy<ArrayBufferView> {
  constructor(options: { highWaterMark: number });
  readonly highWaterMark: number;
}

interface ReadableStreamController<T> {
  readonly desiredSize: number | null;
  enqueue(chunk: T): void;
  close(): void;
  error(reason?: unknown): void;
}
interface ReadableStreamReader<T> {
  readonly closed: Promise<void>;
  read(): Promise<{ done: false; value: T } | { done: true; value: undefined }>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
interface ReadableStreamBYOBReader {
  readonly closed: Promise<void>;
  read<V extends ArrayBufferView>(view: V, options?: { min?: number }): Promise<{ done: false; value: V } | { done: true; value: V | undefined }>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
interface PipeOptions {
  preventClose?: boolean;
  preventAbort?: boolean;
  preventCancel?: boolean;
  signal?: AbortSignal;
}
declare class ReadableStream<T = any> {
  constructor(
    source?: {
      type?: "bytes";
      start?(controller: ReadableStreamController<T>): unknown;
      pull?(controller: ReadableStreamController<T>): unknown;
      cancel?(reason: unknown): unknown;
    },
    strategy?: QueuingStrategy<T>,
  );
  static from<T>(source: Iterable<T> | AsyncIterable<T>): ReadableStream<T>;
  readonly locked: boolean;
  cancel(reason?: unknown): Promise<void>;
  getReader(): ReadableStreamReader<T>;
  /** Of a stream of bytes: reads into a buffer of the caller's. */
  getReader(options: { mode: "byob" }): ReadableStreamBYOBReader;
  pipeThrough<U>(pair: { readable: ReadableStream<U>; writable: WritableStream<T> }, options?: PipeOptions): ReadableStream<U>;
  pipeTo(destination: WritableStream<T>, options?: PipeOptions): Promise<void>;
  tee(): [ReadableStream<T>, ReadableStream<T>];
  values(options?: { preventCancel?: boolean }): AsyncIterableIterator<T>;
  [Symbol.asyncIterator](): AsyncIterableIterator<T>;
}

interface WritableStreamWriter<T> {
  readonly closed: Promise<void>;
  readonly ready: Promise<void>;
  readonly desiredSize: number | null;
  write(chunk: T): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
declare class WritableStream<T = any> {
  constructor(
    sink?: {
      start?(controller: { error(reason?: unknown): void; readonly signal: AbortSignal }): unknown;
      write?(chunk: T): unknown;
      close?(): unknown;
      abort?(reason: unknown): unknown;
    },
    strategy?: QueuingStrategy<T>,
  );
  readonly locked: boolean;
  getWriter(): WritableStreamWriter<T>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}

interface TransformStreamController<T> {
  readonly desiredSize: number | null;
  enqueue(chunk: T): void;
  error(reason?: unknown): void;
  terminate(): void;
}
declare class TransformStream<I = any, O = any> {
  constructor(
    transformer?: {
      start?(controller: TransformStreamController<O>): unknown;
      transform?(chunk: I, controller: TransformStreamController<O>): unknown;
      flush?(controller: TransformStreamController<O>): unknown;
    },
    writableStrategy?: QueuingStrategy<I>,
    readableStrategy?: QueuingStrategy<O>,
  );
  readonly readable: ReadableStream<O>;
  readonly writable: WritableStream<I>;
}

// Web Crypto: random values, digests, HMAC.

type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
type HashIdentifier = HashName | { name: HashName };

interface CryptoKey {
  readonly type: "secret";
  readonly extractable: boolean;
  readonly algorithm: { readonly name: "HMAC"; readonly hash: { readonly name: HashName }; readonly length: number };
  readonly usages: readonly ("sign" | "verify")[];
}
interface JsonWebKey {
  kty?: string;
  k?: string;
  alg?: string;
  ext?: boolean;
  key_ops?: string[];
}
interface SubtleCrypto {
  digest(algorithm: HashIdentifier, data: BufferSource): Promise<ArrayBuffer>;
  importKey(
    format: "raw" | "jwk",
    keyData: BufferSource | JsonWebKey,
    algorithm: { name: "HMAC"; hash: HashIdentifier },
    extractable: boolean,
    usages: ("sign" | "verify")[],
  ): Promise<CryptoKey>;
  generateKey(algorithm: { name: "HMAC"; hash: HashIdentifier; length?: number }, extractable: boolean, usages: ("sign" | "verify")[]): Promise<CryptoKey>;
  exportKey(format: "raw", key: CryptoKey): Promise<ArrayBuffer>;
  exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
  sign(algorithm: "HMAC" | { name: "HMAC" }, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  /** Takes as long wherever the signatures differ. */
  verify(algorithm: "HMAC" | { name: "HMAC" }, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
}
/** The global object itself. */
declare const self: typeof globalThis;
declare const crypto: {
  readonly subtle: SubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
};
