// Digests of NIST's examples; HMAC of RFC 2202 and RFC 4231, test case 2; a key longer than a block, test case 6.
const hex = (buffer) => new Uint8Array(buffer).toHex();
const bytes = (text) => new TextEncoder().encode(text);
const names = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
const long = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

async function hmac(hash, key, data) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash }, false, ["sign", "verify"]);
  const signature = await crypto.subtle.sign("HMAC", imported, data);
  const altered = new Uint8Array(signature.slice());
  altered[0] ^= 1;
  const verify = (signature) => crypto.subtle.verify("HMAC", imported, signature, data);
  return [hash, hex(signature), await verify(signature), await verify(altered), await verify(new Uint8Array(0))];
}

export async function main() {
  const digests = {};
  for (const name of names) {
    digests[name] = [];
    for (const text of ["", "abc", long]) digests[name].push(hex(await crypto.subtle.digest({ name: name.toLowerCase() }, bytes(text))));
  }
  const view = new Uint8Array([0, 97, 98, 99, 0]);
  const part = hex(await crypto.subtle.digest("SHA-1", view.subarray(1, 4)));
  const dataView = hex(await crypto.subtle.digest("SHA-1", new DataView(view.buffer, 1, 3)));
  const macs = [];
  for (const name of names) macs.push(await hmac(name, bytes("Jefe"), bytes("what do ya want for nothing?")));
  macs.push(await hmac("SHA-256", new Uint8Array(131).fill(0xaa), bytes("Test Using Larger Than Block-Size Key - Hash Key First")));
  const generated = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
  const length = (await crypto.subtle.exportKey("raw", generated)).byteLength;
  const jwk = await crypto.subtle.exportKey("jwk", generated);
  const unknown = await crypto.subtle.digest("MD5", view).catch((error) => error.name);
  return { digests, part, dataView, macs, length, jwk: [jwk.kty, jwk.alg, jwk.k.length], unknown };
}
