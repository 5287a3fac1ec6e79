// What scripts hand over, as natives take it.
const PAGE_MAX = 1000;

export function toJson(what, value) {
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`${what}: a ${typeof value} cannot be turned into JSON`);
  return json;
}

export const optionalText = (value) => (value === undefined || value === null ? undefined : String(value));

// How many items the host is asked for: as many as it gives at once if nothing is said.
export function pageSize(what, limit = PAGE_MAX) {
  const number = Number(limit);
  if (!(number >= 0)) throw new RangeError(`${what}: limit is a number of items`);
  return Math.min(Math.trunc(number), PAGE_MAX);
}
