export async function main() {
  const response = await fetch("https://api.example.test/echo?q=1#part", { headers: { "X-One": "1", "x-latin": "\u00e9" } });
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  const contentType = response.headers.get("content-type");
  const echoed = await response.json();
  const again = await response.text().catch((error) => [error.name, error.message]);
  const posted = await (await fetch(new URL("http://api.example.test:8080/echo"), { method: "post" })).json();
  const own = await (await fetch(new Request("http://a.test/echo", { method: "PATCH", headers: { "user-agent": "mine", accept: "text/plain" }, body: "x" }))).json();
  const over = await (await fetch(new Request("http://a.test/echo", { method: "PUT", body: "first" }), { method: "POST", body: "second" })).json();
  const head = await fetch("http://a.test/chunks", { method: "HEAD" });
  const missing = await fetch("http://a.test/nothing");
  const headers = await fetch("http://a.test/headers");
  return {
    status, statusText, ok, type, url, redirected, bodyUsed, contentType, echoed, again, posted, own,
    over: [over.method, over.body],
    head: [head.status, head.body],
    missing: [missing.ok, missing.status, await missing.text()],
    headers: [headers.headers.getSetCookie(), headers.headers.get("x-two"), headers.headers.get("x-latin"), await headers.text()],
    used: response.bodyUsed,
  };
}
