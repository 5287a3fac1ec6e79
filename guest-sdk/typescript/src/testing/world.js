// What the module `sandmill` finds outside of the sandbox: the innermost world that was entered.
import { AsyncLocalStorage } from "node:async_hooks";

// What a native refuses, with the code that its WIT gives it.
export class Failure extends Error {
  constructor(code, message, more) {
    super(message);
    this.code = code;
    this.more = more;
  }
}

export function fail(code, message, more) {
  throw new Failure(code, message, more);
}

// As the platform says which grant is missing, this says which fake is.
export function denied(what, how, code = "denied") {
  fail(code, `${what} is not faked: say new Fakes({ ${how} })`);
}

export function absent(what) {
  throw new Error(`${what}: there are no fakes here; call it inside of fakes.run(…), or between fakes.start() and fakes.stop()`);
}

const running = new AsyncLocalStorage();
const started = [];
const fetchOfNode = globalThis.fetch;
let entered = 0;

export const worldOf = () => running.getStore() ?? started.at(-1);

// While there is a world, requests go to it. Outside of it those of the test itself go where they would.
function enter() {
  if (entered++ > 0) return;
  globalThis.fetch = (input, init) => {
    const world = worldOf();
    return world === undefined ? fetchOfNode(input, init) : world.http.fetch(input, init);
  };
}

function leave() {
  if (--entered === 0) globalThis.fetch = fetchOfNode;
}

export function within(world, work) {
  enter();
  let result;
  try {
    result = running.run(world, work);
  } catch (error) {
    leave();
    throw error;
  }
  if (typeof result?.then !== "function") {
    leave();
    return result;
  }
  return Promise.resolve(result).finally(leave);
}

export function start(world) {
  enter();
  started.push(world);
}

export function stop(world) {
  const at = started.lastIndexOf(world);
  if (at < 0) return;
  started.splice(at, 1);
  leave();
}

export const hasControls = (text) => /[\u0000-\u001f\u007f-\u009f]/.test(text);
export const bytesIn = (text) => Buffer.byteLength(text);
// In the order of their bytes, which is not that of their UTF-16.
export const inOrder = (keys) => keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
export const isAfter = (key, after) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0;
