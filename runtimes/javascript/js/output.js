// What main's result means to the host, where that is not plain JSON: bytes as [content type, bytes],
// anything else as [undefined, value], a promise of these, or undefined for the value as it is.
import { Blob, bytesOf } from "./blob.js";
import { Response } from "./http.js";
import { native } from "./native.js";

const BINARY = "application/octet-stream";

export function output(value) {
  if (value instanceof Uint8Array) return [BINARY, value];
  if (value instanceof ArrayBuffer) return [BINARY, new Uint8Array(value)];
  if (value instanceof Blob) return [value.type || BINARY, bytesOf(value)];
  if (value instanceof Response) return response(value);
  return undefined;
}

async function response(value) {
  const headers = {};
  for (const [name, text] of value.headers) if (name !== "set-cookie") headers[name] = text;
  // The one header that cannot be joined.
  const cookies = value.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies.length === 1 ? cookies[0] : cookies;
  return [undefined, { $http: { status: value.status, headers, ...body(await value.bytes()) } }];
}

function body(bytes) {
  try {
    return { body: native.decode(bytes, true) };
  } catch {
    return { body_base64: bytes.toBase64() };
  }
}
