export async function main() {
  const form = new FormData();
  form.append("name", "Ada");
  form.append("file", new File(["line 1\r\n", new Uint8Array([0, 255])], "a.bin", { type: "application/x-test" }));
  const request = new Request("https://example.com/x", { method: "post", body: form });
  const copy = await request.clone().formData();
  const file = copy.get("file");
  const blob = new Blob(["abc", "def"], { type: "Text/Plain" }).slice(2, 4, "a/b");
  const encoded = await new Response(new URLSearchParams({ q: "a b" })).formData();
  return [request.method, copy.get("name"), file.name, file.type, [...(await file.bytes())], await blob.text(), blob.type, encoded.get("q")];
}
