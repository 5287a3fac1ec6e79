const hex = (buffer) => new Uint8Array(buffer).toHex();
const bytes = (text) => new TextEncoder().encode(text);
export async function main() {
  const digests = [];
  for (const name of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) digests.push(hex(await crypto.subtle.digest(name, bytes("abc"))).slice(0, 16));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes("key"), algorithm, false, ["sign", "verify"]);
  const data = bytes("The quick brown fox jumps over the lazy dog");
  const signature = await crypto.subtle.sign("HMAC", key, data);
  const good = await crypto.subtle.verify("HMAC", key, signature, data);
  const bad = await crypto.subtle.verify("HMAC", key, signature.slice(1), data);
  const refused = await crypto.subtle.exportKey("raw", key).catch((error) => error.name);
  const unsupported = await crypto.subtle.encrypt().catch((error) => error.name);
  const uuid = crypto.randomUUID();
  const random = crypto.getRandomValues(new Uint32Array(4));
  return [digests, hex(signature), good, bad, refused, unsupported, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid), random.some((n) => n > 65536)];
}
