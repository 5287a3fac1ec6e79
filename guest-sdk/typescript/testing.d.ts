// Fakes of what scripts find on Sandmill, for unit tests in Node.

/** A resource of a type. `secrets` are the texts of its secret fields by JSON pointer: `{ "/token": "abc" }`. */
export class FakeResource {
  constructor(type?: string, fields?: object, options?: { secrets?: Record<string, string> });
  readonly type: string;
  readonly fields: object;
  readonly secrets: Record<string, string>;
}

/** A child that does not end, unless it is cancelled. */
export const PENDING: unique symbol;

/** Answers a request: a `Response`, or what is the JSON of one. */
export type Handler = (request: Request) => unknown;

/** Rows, or the number of rows that were written. It is not async: queries are not awaited. */
export type SqlHandler = (statement: string, parameters: any[]) => object[] | number;

/** Thrown by a `SqlHandler`, it is what the database says: a `SqlError` with the code `database`. */
export function databaseError(code: string, message: string, more?: { detail?: string; hint?: string; constraint?: string; position?: number }): never;

/** What a script sends over a broker. */
export interface SentMessage {
  readonly path: string;
  readonly to: string;
  readonly payload: Uint8Array;
  readonly text: string;
  readonly headers: Record<string, string[]>;
  readonly id?: string;
  readonly kept: boolean;
}

export interface World {
  /** Texts by path; `null` for one that is not found. */
  variables?: Record<string, string | null>;
  /** Texts of secret variables by path. The handler of requests gets these in the place of what stands for them. */
  secrets?: Record<string, string>;
  /** Whether `variable` gives the text of secrets, as with a grant of `secrets`. */
  readableSecrets?: boolean;
  /** By path: a `FakeResource`, or just its fields; `null` for one that is not found. */
  resources?: Record<string, FakeResource | object | null>;
  /** By path of the resource. */
  sql?: Record<string, SqlHandler>;
  /** By path of the resource: what the broker answers. */
  brokers?: Record<string, (message: SentMessage) => object | undefined>;
  /** All requests, or those of `"GET https://host/path"`: a handler, or what it would return. */
  http?: Handler | Record<string, unknown>;
  /**
   * By path: a function that is called with the arguments, as `main` is, when it is started (it is not async: children are not awaited); a value,
   * which is the result; an `Error`, which is the child's failure; or `PENDING`.
   */
  runs?: Record<string, unknown>;
  /** Objects by key: `{}` for a store with nothing in it. */
  blob?: Record<string, string | Uint8Array>;
  /** Values by key, to begin with. */
  state?: Record<string, unknown>;
  /** Fields of the context, e.g. `{ attempt: 2 }`. */
  context?: {
    runId?: string;
    script?: string;
    version?: string;
    workspace?: string;
    trigger?: { kind: string; path?: string };
    attempt?: number;
    deadline?: Date;
    runAs?: string;
  };
  /** The event's. */
  payload?: Uint8Array;
  /** What time it is for objects and the deadline; it stands still but for `advance`. `Date` is Node's own. */
  clock?: Date;
}

export interface LogLine {
  readonly level: "trace" | "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Record<string, any>;
}

export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: Uint8Array | null;
  text(): string;
  json(): any;
}

export interface StartedRun {
  readonly id: string;
  readonly path: string;
  readonly args: Record<string, any>;
  readonly delayMs?: number;
  readonly priority?: number;
  readonly tag?: string;
  readonly key?: string;
}

export interface Statement {
  /** Of the database's resource. */
  readonly path: string;
  readonly statement: string;
  readonly parameters: any[];
  /** How the transaction has ended that it was part of. */
  readonly ended?: "committed" | "undone";
}

export interface FakeObject {
  readonly data: Uint8Array;
  readonly text: string;
  readonly contentType?: string;
}

export interface CallOptions {
  /** Parameters whose type is `Date`: types are not there at run time. */
  dates?: readonly string[];
}

/** A world for scripts. What was not faked is denied; state, log, output and context are always there. */
export class Fakes {
  constructor(world?: World);
  /** Runs the work in this world, with whatever it awaits. Worlds may be within each other; the innermost counts. */
  run<Result>(work: () => Result): Result;
  /** `call` in this world. */
  call(main: (...args: any[]) => unknown, args?: object, options?: CallOptions): Promise<any>;
  /** Enters this world until `stop`: for `beforeEach` and `afterEach`. */
  start(): this;
  stop(): void;
  /** What was logged by `log`, in its order. `console` is Node's own. */
  readonly logs: readonly LogLine[];
  /** Percent and text. */
  readonly progress: readonly (readonly [number, string])[];
  /** What was written to the output stream. */
  readonly output: Uint8Array;
  /** What is in the state now. */
  readonly state: Record<string, any>;
  /** What is in the object store now. */
  readonly objects: Record<string, FakeObject>;
  /** Those that were sent, with the secrets in their places. */
  readonly requests: readonly SentRequest[];
  /** Those that were started. */
  readonly runs: readonly StartedRun[];
  /** Those that databases got. */
  readonly statements: readonly Statement[];
  /** What was sent over brokers, in its order. */
  readonly messages: readonly SentMessage[];
  readonly now: Date;
  /** Sets the clock on. */
  advance(ms: number): void;
}

/**
 * Calls `main` as the platform does: the arguments by name and as JSON has them.
 * @returns what a caller gets: the JSON of the result, `null` for `undefined`, `{ contentType, data }` for bytes, `{ $http }` for a `Response`
 */
export function call(main: (...args: any[]) => unknown, args?: object, options?: CallOptions): Promise<any>;

/** An argument does not fit. */
export class InvalidArguments extends Error {
  readonly name: "InvalidArguments";
  readonly faults: readonly { pointer: string; message: string }[];
}
