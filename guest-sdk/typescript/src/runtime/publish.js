// Messages to brokers: `publish` of the module `sandmill`.
import { toJson } from "./arguments.js";
import { toBytes } from "./bytes.js";
import { Refused, taker } from "./errors.js";
import { native } from "./native.js";
import { handleOf } from "./resources.js";

export class PublishError extends Refused {}

const taken = taker(PublishError);

// Text and bytes go as they are, anything else as JSON.
function toPayload(payload) {
  if (ArrayBuffer.isView(payload) || payload instanceof ArrayBuffer) return toBytes(payload, "publish");
  return native.encode(typeof payload === "string" ? payload : toJson("publish", payload));
}

// A list of values is a header several times.
function toHeaders(headers) {
  const pairs = Object.entries(headers).flatMap(([name, values]) => (Array.isArray(values) ? values : [values]).map((value) => [name, value]));
  return pairs.flat().map(String);
}

export function publish(resource, to, payload, { headers = {}, id, kept = false } = {}) {
  const via = handleOf("publish", resource);
  const texts = id === undefined || id === null ? [String(to)] : [String(to), String(id)];
  return taken(native.publish(via, texts, toPayload(payload), toHeaders(headers), Boolean(kept)));
}
