// What main returns, as its caller gets it.
const BINARY = "application/octet-stream";

// A promise of it for what has to be read: a Blob, a Response.
export function resultOf(value) {
  if (value instanceof Uint8Array) return { contentType: BINARY, data: value.slice() };
  if (value instanceof ArrayBuffer) return { contentType: BINARY, data: new Uint8Array(value.slice(0)) };
  if (value instanceof Blob) {
    return value.arrayBuffer().then((buffer) => ({ contentType: value.type || BINARY, data: new Uint8Array(buffer) }));
  }
  if (value instanceof Response) return answer(value);
  const json = JSON.stringify(value);
  return json === undefined ? null : JSON.parse(json);
}

async function answer(response) {
  const headers = {};
  for (const [name, text] of response.headers) if (name !== "set-cookie") headers[name] = text;
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies.length === 1 ? cookies[0] : cookies;
  return { $http: { status: response.status, headers, ...body(new Uint8Array(await response.arrayBuffer())) } };
}

function body(bytes) {
  try {
    return { body: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { body_base64: Buffer.from(bytes).toString("base64") };
  }
}
