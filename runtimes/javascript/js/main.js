// The bundle: globals that scripts expect, and functions that Rust calls. Evaluated once, when the runtime is built.
import { Blob, File } from "./blob.js";
import { structuredClone } from "./clone.js";
import { console } from "./console.js";
import { Crypto, CryptoKey, SubtleCrypto } from "./crypto.js";
import { AbortController, AbortSignal, CustomEvent, Event, EventTarget } from "./events.js";
import { fetch } from "./fetch.js";
import { FormData } from "./form-data.js";
import { Headers } from "./headers.js";
import { Request, Response } from "./http.js";
import { native } from "./native.js";
import * as streams from "./streams.js";
import { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream } from "./text.js";
import { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "./timers.js";
import { URL, URLSearchParams } from "./url.js";

export { describe } from "./describe.js";
export { output } from "./output.js";
export { sandmill } from "./sandmill.js";
export { timerFire, timerWait } from "./timers.js";

function define(owner, values) {
  for (const [name, value] of Object.entries(values)) {
    // The bundler renames classes that speak of themselves, and what has the name of something else.
    if (typeof value === "function" && value.name !== name) Object.defineProperty(value, "name", { value: name, configurable: true });
    Object.defineProperty(owner, name, { value, writable: true, configurable: true });
  }
}

define(globalThis, { ...streams });
define(globalThis, { AbortController, AbortSignal, CustomEvent, Event, EventTarget });
define(globalThis, { Blob, File, FormData, Headers, Request, Response, fetch, URL, URLSearchParams });
define(globalThis, { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream });
define(globalThis, { Crypto, CryptoKey, SubtleCrypto, crypto: new Crypto() });
define(globalThis, { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate });
define(globalThis, { console, structuredClone, self: globalThis });

// The engine's own are seeded or started when the runtime is built.
define(Math, { random: native.random });
define(globalThis, {
  performance: {
    now: () => native.elapsed(),
    get timeOrigin() {
      return Date.now() - native.elapsed();
    },
    toJSON() {
      return { timeOrigin: this.timeOrigin };
    },
  },
});
