import { runs } from "sandmill";

/**
 * Counts words in several texts, each in a run of its own.
 * @param texts each is counted by a run of `count-words`
 */
export function main(texts: string[]) {
  // All are started before the first is waited for, so they execute side by side. The key makes each of them one run, also if this
  // one is tried again after its node died.
  const ids = texts.map((text, index) => runs.start("f/examples/count-words", { text }, { key: `text ${index}` }));
  // Meanwhile this run occupies no slot.
  const counts = runs.wait<number>(ids);
  return { counts, total: counts.reduce((sum, count) => sum + count, 0) };
}
