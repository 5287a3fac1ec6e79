const echo = async (body, headers) => {
  const response = await fetch("http://a.test/echo", { method: "POST", body, headers, duplex: "half" });
  const { headers: sent, body: text, bytes } = await response.json();
  return [sent["content-type"] ?? null, sent["content-length"] ?? sent["transfer-encoding"], bytes, bytes < 300 ? text : null];
};

export async function main() {
  const form = new FormData();
  form.append("name", "a \"b\"\n");
  form.append("file", new File(["\u00e9\u0000"], "f.bin", { type: "application/x-f" }));
  const [type, length, bytes, text] = await echo(form);
  const boundary = /^multipart\/form-data; boundary=(.+)$/.exec(type)[1];
  const large = new Uint8Array(3_000_000).fill(120);
  const mirrored = await (await fetch("http://a.test/mirror", { method: "POST", body: large })).bytes();
  const parsed = await (await fetch("http://a.test/mirror", { method: "POST", body: form })).bytes();
  const back = await new Response(parsed, { headers: { "content-type": type.replace(boundary, native(parsed)) } }).formData();
  const view = new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4);
  return {
    text: await echo("h\u00e9llo"),
    bytes: await echo(view),
    buffer: await echo(view.slice().buffer, { "content-type": "application/x-own", "content-length": "999" }),
    params: await echo(new URLSearchParams({ a: "1 2", b: "\u00e9" })),
    blob: await echo(new Blob(["blob"], { type: "text/x-blob" })),
    empty: await echo(""),
    object: await echo({ toString: () => "object" }),
    form: [length === String(bytes), text.replaceAll(boundary, "B")],
    stream: await echo(ReadableStream.from(["a", new TextEncoder().encode("b"), new Uint8Array(0), "c"])),
    lengthSaid: await echo(ReadableStream.from(["12345"]), { "content-length": "5" }),
    large: await echo(large),
    mirrored: mirrored.length === large.length && mirrored.every((byte) => byte === 120),
    back: [back.get("name"), back.get("file").name, [...(await back.get("file").bytes())]],
    noDuplex: await fetch("http://a.test/echo", { method: "POST", body: ReadableStream.from([]) }).catch((error) => error.message),
    getWithBody: await fetch("http://a.test/echo", { body: "x" }).catch((error) => error.message),
    otherLength: await echo(ReadableStream.from(["12345"]), { "content-length": "6" }).catch((error) => [error.name, error.cause.code]),
  };
}

// The boundary that a body was written with.
function native(bytes) {
  return new TextDecoder().decode(bytes).split("\r\n")[0].slice(2);
}
