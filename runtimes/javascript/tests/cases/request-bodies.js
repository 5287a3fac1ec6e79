const failed = (call) => { try { return String(call()); } catch (error) { return [error.name, error.message]; } };

export async function main() {
  const request = new Request("http://a.test/", { method: "POST", body: "text" });
  const copy = request.clone();
  const other = new Request(request, { headers: { "x-a": "1" } });
  const streamed = new Request("http://a.test/", { method: "POST", body: ReadableStream.from(["a", "b"]), duplex: "half" });
  const half = streamed.clone();
  return {
    taken: [request.bodyUsed, await other.text(), other.headers.get("x-a"), await copy.text(), copy.method],
    twice: failed(() => new Request(request)),
    copyOfUsed: failed(() => request.clone()),
    streamed: [await streamed.text(), await half.text()],
    locked: failed(() => { const body = ReadableStream.from(["x"]); body.getReader(); return new Request(new Request("http://a.test/", { method: "POST", body, duplex: "half" })); }),
    nothing: [new Request("http://a.test/").body, new Response().body, await new Response().text()],
  };
}
