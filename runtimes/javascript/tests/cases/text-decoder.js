export function main() {
  const decode = (bytes, label, options) => {
    try { return new TextDecoder(label, options).decode(new Uint8Array(bytes)); } catch (error) { return error.name; }
  };
  const bom = [0xef, 0xbb, 0xbf, 0x61];
  const broken = [0x61, 0xf0, 0x9f, 0x98, 0x62, 0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80];
  const whole = [decode(bom), decode(bom, "utf-8", { ignoreBOM: true }), decode(broken), decode(broken, "utf-8", { fatal: true })];
  const others = [decode([0x61, 0, 0x3d, 0xd8, 0, 0xde], "UTF-16"), decode([0, 0x61, 0xd8, 0x3d], "utf-16be"), decode([0x61], "utf-16le", { fatal: true }), decode([0x80, 0xe9], " Latin1 "), decode([], "nothing")];
  const decoder = new TextDecoder();
  const emoji = new TextEncoder().encode("\ufeffa\u{1f600}b");
  const pieces = [...emoji].map((byte) => decoder.decode(new Uint8Array([byte]), { stream: true }));
  pieces.push(decoder.decode());
  const cut = [decoder.decode(emoji.subarray(0, 6), { stream: true }), decoder.decode()];
  const again = decoder.decode(bom.length ? new Uint8Array(bom).buffer : undefined);
  const strict = new TextDecoder("utf8", { fatal: true });
  let ended;
  try { strict.decode(new Uint8Array([0xf0]), { stream: true }); strict.decode(); } catch (error) { ended = error.name; }
  const into = new Uint8Array(6);
  const written = new TextEncoder().encodeInto("a\u00e9\u{1f600}", into);
  const lone = [...new TextEncoder().encode("\ud800x")];
  return { whole, others, pieces, cut, again, ended, written, into: [...into], lone, labels: [strict.encoding, strict.fatal, strict.ignoreBOM, new TextDecoder("ascii").encoding] };
}
