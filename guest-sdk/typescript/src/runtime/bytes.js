// As the runtime's, in which every Uint8Array has `toBase64`.
class Bytes extends Uint8Array {
  toBase64() {
    return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("base64");
  }
}

export function toBytes(source, what) {
  if (ArrayBuffer.isView(source)) return new Bytes(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer || source instanceof SharedArrayBuffer) return new Bytes(source);
  throw new TypeError(`${what} takes an ArrayBuffer or a view of one`);
}

export const concat = (chunks) => new Uint8Array(Buffer.concat(chunks));
