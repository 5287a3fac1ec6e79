import { log } from "sandmill";

/**
 * Greets somebody, politely or not.
 * @param name Whom to greet
 * @param times How often
 */
export function main(name: string, times = 1, options?: { loud: boolean }) {
  log.info("greeting", { name, times });
  const greeting = Array(times).fill(`Hello, ${name}!`).join(" ");
  return { greeting: options?.loud ? greeting.toUpperCase() : greeting };
}
