export async function main() {
  const request = new Request("https://example.com/a?b", { method: "PUT", headers: { "X-A": "1" }, body: JSON.stringify({ n: 1 }) });
  const response = Response.json({ ok: true }, { status: 202 });
  const copy = response.clone();
  const headers = new Headers([["b", "2"], ["a", "1"]]);
  headers.append("A", "3");
  let used;
  await response.text();
  try { await response.text(); } catch (error) { used = error.name; }
  return [request.url, request.headers.get("x-a"), await request.json(), await copy.json(), copy.headers.get("content-type"), [...headers], used, response.bodyUsed, Response.redirect("/x").status];
}
