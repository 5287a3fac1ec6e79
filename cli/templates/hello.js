import { log } from "sandmill";

/**
 * Greets somebody.
 * @param {string} name Whom to greet
 * @param {number} times How often
 */
export function main(name, times = 1) {
  log.info("greeting", { name });
  return { greeting: Array(times).fill(`Hello, ${name}!`).join(" ") };
}
