export function main() {
  const types = { AbortController, AbortSignal, Blob, Event, EventTarget, File, FormData, Headers, ReadableStream, Request, Response, TextDecoder, URL, URLSearchParams };
  console.log(new Response("x", { status: 201 }), new Blob(["b"]));
  return [Object.entries(types).filter(([name, type]) => type.name !== name).map(([name]) => name), fetch.name, fetch.length];
}
