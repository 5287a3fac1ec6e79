const to = (code, target) => `http://a.test/redirect?code=${code}&to=${encodeURIComponent(target)}`;
const failed = (promise) => promise.then((response) => response.status, (error) => [error.name, error.message]);

async function land(code, method, body, target = "/echo") {
  const headers = { authorization: "Bearer x", cookie: "c=1", "x-kept": "yes", "content-language": "en" };
  const response = await fetch(to(code, target), { method, body, headers });
  const { method: landed, headers: sent, body: text } = await response.json();
  const content = [sent["content-type"] ?? null, sent["content-length"] ?? null, sent["content-language"] ?? null];
  return [landed, text, ...content, sent.authorization ?? null, sent.cookie ?? null, sent["x-kept"], response.redirected, response.url];
}

export async function main() {
  const stream = () => ReadableStream.from(["x"]);
  const manual = await fetch(to(302, "/echo"), { redirect: "manual" });
  const bare = await fetch("http://a.test/status?code=302");
  const twenty = await fetch("http://a.test/countdown?n=20");
  return {
    kept: [await land(307, "POST", "body"), await land(308, "PUT", "body")],
    changed: [await land(301, "POST", "body"), await land(302, "POST", "body"), await land(303, "PUT", "body")],
    unchanged: [await land(301, "PUT", "body"), await land(302, "GET")],
    otherOrigin: await land(307, "POST", "body", "https://b.test/echo"),
    otherPort: await land(302, "GET", undefined, "http://a.test:81/echo"),
    fragment: [(await fetch(to(302, "/echo#there") + "#here")).url, new URL((await fetch(to(302, "//b.test/echo"))).url).host],
    unicode: (await (await fetch(to(302, "/echo?q=\u00e9"))).json()).path,
    manual: [manual.status, manual.headers.get("location"), manual.redirected, manual.type],
    bare: [bare.status, bare.redirected],
    twenty: [await twenty.text(), twenty.redirected],
    tooMany: await failed(fetch("http://a.test/countdown?n=21")),
    loop: await failed(fetch("http://a.test/loop")),
    error: await failed(fetch(to(302, "/echo"), { redirect: "error" })),
    stream: await failed(fetch(to(307, "/echo"), { method: "POST", body: stream(), duplex: "half" })),
    streamTo303: await failed(fetch(to(303, "/echo"), { method: "POST", body: stream(), duplex: "half" })),
    scheme: await failed(fetch(to(302, "ftp://a.test/file"))),
    user: await failed(fetch(to(302, "http://user:secret@a.test/echo"))),
    noUrl: await failed(fetch(to(302, "http://[bad"))),
    judged: await failed(fetch(to(302, "http://denied.test/inside?token=secret"))),
    mode: await failed(fetch("http://a.test/echo", { redirect: "sometimes" })),
  };
}
