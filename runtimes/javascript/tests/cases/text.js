export function main() {
  const bytes = new TextEncoder().encode("é🎉\ud800");
  const decoder = new TextDecoder();
  const streamed = decoder.decode(bytes.subarray(0, 4), { stream: true }) + "|" + decoder.decode(bytes.subarray(4));
  let fatal;
  try { new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])); } catch (error) { fatal = error.name; }
  const latin = new TextDecoder("latin1").decode(new Uint8Array([0x80, 0xe9]));
  const wide = new TextDecoder("utf-16le").decode(new Uint8Array([0x61, 0, 0x3d, 0xd8, 0, 0xde]));
  const into = new Uint8Array(4);
  return [[...bytes], streamed, fatal, latin, wide, new TextEncoder().encodeInto("aéb🎉", into), [...into], new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))];
}
