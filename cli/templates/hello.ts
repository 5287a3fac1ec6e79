import { log } from "sandmill";

/**
 * Greets somebody.
 * @param name Whom to greet
 * @param times How often
 */
export function main(name: string, times = 1): { greeting: string } {
  log.info("greeting", { name });
  return { greeting: Array(times).fill(`Hello, ${name}!`).join(" ") };
}
