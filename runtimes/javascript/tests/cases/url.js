export function main() {
  const url = new URL("../b?x=1&y=%20#top", "https://user:pw@exämple.com:8080/a/c/");
  const parts = [url.href, url.host, url.pathname, url.origin, url.hash];
  url.searchParams.append("z", "a b&c");
  url.searchParams.delete("x");
  url.port = "443";
  url.pathname = "/new path";
  const params = new URLSearchParams({ q: "1", r: "ü" });
  params.set("q", "2");
  params.sort();
  let invalid;
  try { new URL("nope"); } catch (error) { invalid = [error.name, error.message]; }
  return [parts, String(url), JSON.stringify({ url }), [...params], String(params), URL.canParse("nope"), invalid, params.size];
}
