import { state } from "sandmill";

const TRIES_MAX = 1_000;

/**
 * Counts, and never loses a count: runs at the same time see each other through compare-and-swap.
 * @param by How much to add
 */
export function main(by = 1): { before: number; now: number } {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const stored = state.get("count") as number | undefined;
    const before = stored ?? 0;
    if (state.compareAndSwap("count", stored, before + by)) return { before, now: before + by };
  }
  throw new Error(`somebody else was first ${TRIES_MAX} times in a row`);
}
