export function main() {
  const show = (url, base) => {
    try { return new URL(url, base).href; } catch (error) { return error.name; }
  };
  const urls = [
    ["HTTP://User:Pa%20ss@EXAMPLE.com:80/a/../b/./c?q#f"], ["//host/path", "https://a.b/c"], ["../x", "https://a.b/c/d/e"], ["?only", "https://a.b/c?d#e"],
    ["#f", "https://a.b/c?d"], ["https://ex\u00e4mple.org/\u00e4?\u00e4#\u00e4"], ["https://[::1]:8080/"], ["https://0x7f.1/"], ["https://a b/"],
    ["https://a.b:99999/"], ["relative"], ["data:text/plain,x y"], ["mailto:a@b.c"], ["file:///C:/x/../y"], ["https://a.b\\c"], ["  https://a.b/\n\t "], ["https://a.b/%zz%41"],
  ].map(([url, base]) => show(url, base));
  const url = new URL("https://a.b/c?x=1");
  url.searchParams.append("y", "a b&c=d+\u00e9");
  url.hash = "h i";
  url.port = "443";
  url.pathname = "p q/\u00e9";
  const changed = url.href;
  url.search = "";
  const cleared = [url.href, url.searchParams.size];
  url.protocol = "ftp";
  url.host = "c.d:81";
  url.username = "u@";
  const more = [url.href, url.origin, JSON.stringify({ url })];
  const params = new URLSearchParams("?a=1&a=2&b=%20+%2B&=e&c&d=%zz&a=3");
  const listed = [...params];
  params.delete("a", "2");
  params.set("a", "9");
  params.sort();
  const others = [new URLSearchParams({ k: "v w" }), new URLSearchParams([["z", "1"], ["y", "2"]]), new URLSearchParams(new Map([["m", "\u{1f600}"]]))].map(String);
  const misc = [URL.canParse("x:"), URL.canParse("x"), URL.parse("x"), params.has("b", " +"), params.has("b"), params.get("nothing"), params.getAll("a"), params.size];
  let bad;
  try { new URLSearchParams([["one"]]); } catch (error) { bad = error.name; }
  return { urls, changed, cleared, more, listed, sorted: String(params), others, misc, bad };
}
