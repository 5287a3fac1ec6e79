// JSON of what a script hands over.
export function toJson(what, value) {
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`${what}: a ${typeof value} cannot be turned into JSON`);
  return json;
}
