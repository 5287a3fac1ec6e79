/** What a script may import from the platform. Everything is synchronous and durable when it returns. */
declare module "sandmill" {
  type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

  /** JSON that a script keeps from one run to the next. */
  export const state: {
    /** `undefined` if nothing is stored under the key. */
    get<T = Json>(key: string): T | undefined;
    set(key: string, value: unknown): void;
    delete(key: string): void;
    /** Writes `replacement` (`undefined` deletes) if the value is `expected` (`undefined`: absent). Tells whether it wrote. */
    compareAndSwap(key: string, expected: unknown, replacement: unknown): boolean;
  };

  export class StateError extends Error {
    readonly code: string;
  }

  type Line = (message: string, fields?: Record<string, unknown>) => void;

  /** Lines of the run's log; `console` writes there too. */
  export const log: { trace: Line; debug: Line; info: Line; warn: Line; error: Line };

  /** Partial results for whoever follows the run. */
  export const output: {
    /** `percent` from 0 to 100. */
    progress(percent: number, text?: string): void;
    write(chunk: string | ArrayBuffer | ArrayBufferView): void;
  };

  /** The run itself. */
  export const context: {
    readonly runId: string;
    readonly script: string;
    readonly version: string;
    readonly workspace: string;
    /** None for a run that was started directly. */
    readonly trigger: { kind: string; path?: string } | undefined;
    /** 1 for the first try. */
    readonly attempt: number;
    /** When the run is ended. */
    readonly deadline: Date;
    readonly runAs: string;
    /** The event's payload as it arrived. */
    payload(): Uint8Array;
  };
}
