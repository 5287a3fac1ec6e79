import { log, output } from "sandmill";

const SEGMENT = 1 << 16;

/**
 * Counts the primes below a limit with a sieve in segments, and says how far it is.
 * @param limit {integer} Up to where, e.g. 10000000
 */
export function main(limit = 2_000_000): { primes: number; largest: number } {
  if (!Number.isSafeInteger(limit) || limit < 3 || limit > 1e9) throw new RangeError(`the limit is an integer from 3 to 1e9, not ${limit}`);
  const base = smallPrimes(Math.ceil(Math.sqrt(limit)));
  let primes = 0;
  let largest = 0;
  let said = -1;
  for (let from = 2; from < limit; from += SEGMENT) {
    const to = Math.min(from + SEGMENT, limit);
    const composite = new Uint8Array(to - from);
    for (const prime of base) {
      for (let multiple = Math.max(prime * prime, Math.ceil(from / prime) * prime); multiple < to; multiple += prime) {
        composite[multiple - from] = 1;
      }
    }
    for (let index = 0; index < composite.length; index++) {
      if (composite[index] === 0) {
        primes++;
        largest = from + index;
      }
    }
    // Every percent once: progress is for people.
    const percent = Math.floor((to / limit) * 100);
    if (percent > said) {
      output.progress(percent, `${primes} primes below ${to}`);
      // Every ten percent what is known so far: a partial result for whoever follows.
      if (Math.floor(percent / 10) > Math.floor(said / 10)) output.write(`${JSON.stringify({ below: to, primes, largest })}\n`);
      said = percent;
    }
  }
  log.info("done", { primes, largest });
  return { primes, largest };
}

/** All primes up to and including `max`. */
function smallPrimes(max: number): number[] {
  const primes: number[] = [];
  for (let candidate = 2; candidate <= max; candidate++) {
    if (primes.every((prime) => prime * prime > candidate || candidate % prime !== 0)) primes.push(candidate);
  }
  return primes;
}
