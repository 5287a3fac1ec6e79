/// <reference path="./sandmill.globals.d.ts" />
// What scripts on Sandmill can use: the module "sandmill" and the globals of its JavaScript runtime, no more and no less.
// So it stands in for the DOM library: "lib": ["es2023"] in tsconfig.json. (That library declares Intl, which is not here.)

declare module "sandmill" {
  /** What JSON can say. */
  export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

  /** JSON that is kept from one run to the next, per script and trigger: at most 10,000 keys. A write is durable when the call returns. */
  export const state: {
    /** `undefined` if there is no such key. A key has 1 to 512 bytes and no control characters, a value at most 1 MiB of JSON. */
    get<T = any>(key: string): T | undefined;
    set(key: string, value: unknown): void;
    delete(key: string): void;
    /**
     * Writes `replacement` (`undefined` deletes) if the value is `expected` (`undefined`: absent), compared as JSON.
     * @returns whether it wrote
     */
    compareAndSwap(key: string, expected: unknown, replacement: unknown): boolean;
    /** Keys that begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit` and at most 1,000. */
    list(prefix?: string, options?: { after?: string; limit?: number }): string[];
  };

  /** Thrown by `state`. */
  export class StateError extends Error {
    readonly name: "StateError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "invalid-key" | "invalid-json" | "too-large" | "unavailable";
  }

  /** The text of a variable. Granted by path: `[grants] variables = ["f/demo/*"]`; that of a secret one by `secrets = ["f/demo/token"]`. */
  export function variable(path: string): string;

  /**
   * Text that stands for a secret variable's. The host puts the secret in its place in headers, query and body of requests that a grant lets
   * use it (`http = ["POST https://api.example.com/ with f/demo/token"]`), and nowhere else.
   */
  export function secret(path: string): string;

  /** Thrown by `variable` and `secret`. */
  export class VariableError extends Error {
    readonly name: "VariableError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "denied" | "invalid" | "not-found" | "unavailable";
  }

  /** A resource that is used without its secrets being seen. It ends with the run. */
  export interface Resource<Fields = any> {
    readonly path: string;
    /** Name of its type, e.g. `postgresql`. */
    readonly type: string;
    /** Those that are not secret. */
    readonly fields: Fields;
    /**
     * Text that stands for the secret field at a JSON pointer, e.g. `/token`. The host puts the secret in its place in headers, query and
     * body of requests that a grant lets use the resource (`http = ["POST https://api.example.com/ with f/demo/account"]`), and nowhere else.
     */
    placeholder(pointer: string): string;
  }

  /** Resources: typed objects at paths. Granted by path: `[grants] resources = ["f/demo/*"]`. */
  export const resource: { open<Fields = any>(path: string): Resource<Fields> };

  /** Thrown by `resource`, and by `sql` and `publish` where a database or a broker cannot be opened. */
  export class ResourceError extends Error {
    readonly name: "ResourceError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "denied" | "invalid" | "not-found" | "unavailable";
  }

  /**
   * What JSON can say, and `bigint` and numbers that are not finite (as text), a `Date` (as RFC 3339) and bytes (as base64). A parameter is
   * taken for what the statement declares it to be: `$1::int8`, `$1::timestamptz`, `$1::bytea`, `$1::jsonb`.
   */
  export type SqlParameter = Json | undefined | bigint | Date | ArrayBuffer | ArrayBufferView | object;

  /** Integers beyond ±(2^53 - 1) and all of `numeric` are strings of their digits, times are RFC 3339, bytes base64. JSON does not see `columns`. */
  export type SqlRows<Row = any> = Row[] & { readonly columns: readonly { name: string; type: string }[] };

  export interface SqlSession {
    /** One statement; parameters are bound, never pasted: `$1`, `$2`, … . At most 100,000 rows and 16 MiB. */
    query<Row = any>(statement: string, parameters?: readonly SqlParameter[]): SqlRows<Row>;
    /** @returns the number of rows that were written */
    execute(statement: string, parameters?: readonly SqlParameter[]): number;
  }

  export interface SqlDatabase extends SqlSession {
    /**
     * All of it or nothing: commits what `work` did once it has returned, or its promise is fulfilled, and undoes it if it throws. At most 4 at once.
     * @returns what `work` returned
     */
    transaction<Result>(work: (transaction: SqlSession) => Result): Result;
  }

  /** The database of a resource. Granted by path and mode: `[grants] sql = ["read f/demo/database"]`. Nothing is awaited: queries return when done. */
  export function sql(resource: Resource | string): SqlDatabase;

  /** Thrown by databases. */
  export class SqlError extends Error {
    readonly name: "SqlError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "denied" | "invalid" | "database" | "too-large" | "timeout" | "unavailable";
    /** With `database`: what the database said. `code` is the SQLSTATE of PostgreSQL, the extended result code of SQLite; `position` counts from 1. */
    readonly database?: { code: string; message: string; detail?: string; hint?: string; constraint?: string; position?: number };
  }

  export interface PublishOptions {
    /** A list is a header several times. */
    headers?: Record<string, string | readonly string[]>;
    /** By it the broker knows a repetition; only a broker that keeps messages does. */
    id?: string;
    /** Returns only once the broker says that it keeps the message, and throws if nothing there does. */
    kept?: boolean;
  }

  /**
   * Sends a message over a resource of a broker, e.g. of the type `nats`. Granted by the resource's path: `[grants] publish = ["f/demo/broker"]`. Text
   * and bytes go as they are, anything else as JSON. Nothing is awaited: it returns once the broker has the message, as far as it says so.
   * @returns what the broker said, e.g. `{stream, sequence, duplicate}`
   */
  export function publish<Said = any>(
    resource: Resource | string,
    to: string,
    payload: string | ArrayBuffer | ArrayBufferView | Json | object,
    options?: PublishOptions,
  ): Said;

  /** Thrown by `publish`. */
  export class PublishError extends Error {
    readonly name: "PublishError";
    /** `unavailable` may go away if the call is tried again; the message may have arrived. */
    readonly code: "denied" | "invalid" | "too-large" | "unavailable";
  }

  export interface BlobInfo {
    readonly key: string;
    /** In bytes. */
    readonly size: number;
    readonly modified: Date;
    /** Missing in lists. */
    readonly contentType?: string;
  }

  /** An object that was found. It is read once, in one of these ways. */
  export interface BlobObject extends BlobInfo {
    stream(): ReadableStream<Uint8Array>;
    bytes(): Promise<Uint8Array>;
    text(): Promise<string>;
    json<T = any>(): Promise<T>;
  }

  /** Objects: bytes under keys, kept for the workspace. Granted by prefix and mode: `[grants] blob = ["read reports/", "write reports/daily/"]`. */
  export const blob: {
    /** `undefined` if nothing is there. */
    get(key: string): Promise<BlobObject | undefined>;
    /** Replaces what is there, once all of `data` was written; if that fails nothing changes. */
    put(key: string, data: string | BufferSource | Blob | ReadableStream, options?: { contentType?: string }): Promise<BlobInfo>;
    /** `undefined` if nothing is there. */
    stat(key: string): Promise<BlobInfo | undefined>;
    /** It is no error if nothing is there. */
    delete(key: string): Promise<void>;
    /** Objects whose keys begin with `prefix`, in the order of their bytes, after the key `after`; asked for by the thousand as the loop goes on. */
    list(prefix?: string, options?: { after?: string; limit?: number }): AsyncIterableIterator<BlobInfo>;
  };

  /** What `blob` rejects with. */
  export class BlobError extends Error {
    readonly name: "BlobError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "denied" | "invalid" | "too-large" | "unavailable";
  }

  /** What may be said of a run beside its arguments; else its script's manifest holds. */
  export interface RunOptions {
    /** How long it waits before it may start. */
    delayMs?: number;
    /** From -1000 to 1000; where nothing is said, that of the run which starts it. */
    priority?: number;
    /** Only nodes that serve the tag run it. */
    tag?: string;
    /**
     * 1 to 255 characters. A later start by the same run with the same key is the same child, so an attempt that is made again finds what
     * the one before it started.
     */
    key?: string;
  }

  /** What a script returned as bytes. */
  export interface BinaryResult {
    contentType: string;
    data: Uint8Array;
  }

  /**
   * Runs that this run starts: its children. Paths are granted in the manifest: `[grants] runs = ["f/demo/*"]`. Nothing is awaited: these
   * functions return when they are done, and while they wait the run occupies no slot.
   */
  export const runs: {
    /**
     * Starts the script at `path`, or at `path@number`.
     * @returns the run's id, once the run is durable
     */
    start(path: string, args?: object, options?: RunOptions): string;
    /**
     * Waits for a child, or for all of up to 1,000; without `timeoutMs` as long as this run may take.
     * @returns what it returned; `undefined` if its preprocessor said that there was nothing to do
     * @throws ChildError if it failed, RunsError `timeout` if it has not ended
     */
    wait<T = any>(id: string, options?: { timeoutMs?: number }): T;
    wait<T = any>(ids: readonly string[], options?: { timeoutMs?: number }): T[];
    /**
     * Waits until one of the children has ended.
     * @returns those that have; after `timeoutMs` perhaps none
     */
    any(ids: readonly string[], options?: { timeoutMs?: number }): string[];
    /** `start` and `wait`. */
    run<T = any>(path: string, args?: object, options?: RunOptions & { timeoutMs?: number }): T;
    /** How a child ended; `undefined` if it has not. */
    result<T = any>(id: string): { ok: true; value: T } | { ok: false; error: ChildError } | undefined;
    /** Asks for a child's end and that of all that it started; `false` if it had ended. */
    cancel(id: string): boolean;
  };

  /** Thrown by `runs`. */
  export class RunsError extends Error {
    readonly name: "RunsError";
    /** `unavailable` may go away if the call is tried again. */
    readonly code: "denied" | "invalid" | "not-found" | "invalid-arguments" | "too-many" | "timeout" | "unavailable";
    /** With `invalid-arguments`: `{faults: [{pointer, message}]}`. */
    readonly details?: any;
  }

  /** A child that failed. Name and message are those of its own error. */
  export class ChildError extends Error {
    readonly runId: string;
    /** `error`, `timeout`, `cancelled`, … */
    readonly outcome: string;
    readonly details?: any;
    readonly childStack?: string;
  }

  /** Structured log lines; `console` writes to the same log. */
  export const log: {
    trace(message: string, fields?: Record<string, unknown>): void;
    debug(message: string, fields?: Record<string, unknown>): void;
    info(message: string, fields?: Record<string, unknown>): void;
    warn(message: string, fields?: Record<string, unknown>): void;
    error(message: string, fields?: Record<string, unknown>): void;
  };

  /** What a script may know about its own run. */
  export const context: {
    readonly runId: string;
    /** The script's path, e.g. `f/demo/hello`. */
    readonly script: string;
    /** Digest of the version. */
    readonly version: string;
    readonly workspace: string;
    /** `path` is missing for triggers that every script has; all of it for a run that no trigger started. */
    readonly trigger: { readonly kind: string; readonly path?: string } | undefined;
    /** 1 for the first try. */
    readonly attempt: number;
    /** When the run is ended. */
    readonly deadline: Date;
    /** The identity that the run acts as. */
    readonly runAs: string;
    /** The event's payload as it arrived; empty for a run that no event started. */
    payload(): Uint8Array;
  };

  /** Partial results for whoever follows the run. */
  export const output: {
    /** `percent` from 0 to 100. */
    progress(percent: number, text?: string): void;
    /** Appends to the run's output stream. */
    write(chunk: string | ArrayBuffer | ArrayBufferView): void;
  };

  /** What a `preprocessor` gets of a trigger of any kind; `Fields` are what the kind tells beside. */
  export type TriggerEvent<Body = any, Fields = Record<string, any>> = {
    kind: string;
    /** Path of the trigger; `null` for a script's own URL. */
    trigger: string | null;
    /** The payload: parsed where it is JSON, a string where it is other text, else base64; `null` if there is none. */
    body: Body;
    /** The payload as text, byte for byte; `null` where it is not UTF-8. */
    raw: string | null;
    /** There if `body` is base64. */
    encoding?: "base64";
  } & Fields;

  /** What a `preprocessor` of an HTTP trigger gets. */
  export type HttpEvent<Body = any> = TriggerEvent<
    Body,
    {
      method: string;
      path: string;
      /** A name that is there more than once has an array. */
      query: Record<string, string | string[]>;
      /** Names are lower-case; the caller's credentials are missing. */
      headers: Record<string, string>;
      /** Of routes: what the pattern names. */
      params?: Record<string, string>;
      /** Of routes: the pattern. */
      route?: string;
    }
  >;

  const sandmill: {
    context: typeof context;
    log: typeof log;
    output: typeof output;
    state: typeof state; StateError: typeof StateError;
    runs: typeof runs; RunsError: typeof RunsError; ChildError: typeof ChildError;
    variable: typeof variable; secret: typeof secret; VariableError: typeof VariableError;
    resource: typeof resource; ResourceError: typeof ResourceError;
    sql: typeof sql; SqlError: typeof SqlError;
    publish: typeof publish; PublishError: typeof PublishError;
    blob: typeof blob; BlobError: typeof BlobError;
  };
  export default sandmill;
}
