// Timers. Rust asks how long to wait (timerWait), waits, and lets the due ones run (timerFire).
import { native } from "./native.js";

// Sorted by due time, then by order of creation.
const queue = [];
let created = 0;

function add(what, callback, delay, repeats, args) {
  native.requireOpen(what);
  if (typeof callback !== "function") throw new TypeError(`${what}: the callback must be a function`);
  // As browsers do: at least 1 ms, and what does not fit 31 bits is no delay at all.
  const wait = Number(delay);
  const period = wait >= 1 && wait <= 0x7fffffff ? wait : 1;
  const timer = { id: ++created, due: native.elapsed() + period, period, repeats, callback, args };
  insert(timer);
  return timer.id;
}

function insert(timer) {
  let at = queue.length;
  while (at > 0 && queue[at - 1].due > timer.due) at--;
  queue.splice(at, 0, timer);
}

function clear(id) {
  const at = queue.findIndex((timer) => timer.id === Number(id));
  if (at >= 0) queue.splice(at, 1);
  cleared = Number(id);
}

// A repeating timer may clear itself while it runs.
let cleared = 0;

export const setTimeout = (callback, delay, ...args) => add("setTimeout", callback, delay, false, args);
export const setInterval = (callback, delay, ...args) => add("setInterval", callback, delay, true, args);
export const clearTimeout = (id) => clear(id);
export const clearInterval = (id) => clear(id);
export const clearImmediate = (id) => clear(id);

export function setImmediate(callback, ...args) {
  native.requireOpen("setImmediate");
  const timer = { id: ++created, due: 0, period: 0, repeats: false, callback, args };
  insert(timer);
  return timer.id;
}

export function timerWait() {
  return queue.length === 0 ? -1 : Math.max(0, queue[0].due - native.elapsed());
}

// One timer at a time: promise jobs run between them.
export function timerFire() {
  const timer = queue.shift();
  if (timer === undefined) return;
  cleared = 0;
  try {
    timer.callback(...timer.args);
  } finally {
    if (timer.repeats && cleared !== timer.id) {
      timer.due = native.elapsed() + timer.period;
      insert(timer);
    }
  }
}
