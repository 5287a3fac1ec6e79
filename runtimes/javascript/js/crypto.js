// Web Crypto: random values, digests, HMAC.
import { toBytes } from "./bytes.js";
import { native } from "./native.js";

const RANDOM_BYTES_MAX = 65_536;
const BLOCK_BYTES = { "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 };
const JWK_NAMES = { "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };

const refuse = (name, message) => new DOMException(message, name);

function nameOf(algorithm) {
  const name = typeof algorithm === "string" ? algorithm : algorithm?.name;
  return String(name).toUpperCase();
}

function hashOf(algorithm) {
  const name = nameOf(algorithm);
  if (!(name in BLOCK_BYTES)) throw refuse("NotSupportedError", `the hash "${name}" is not supported`);
  return name;
}

// Kept here, where scripts cannot reach the bytes of a key that is not extractable.
const keyBytes = new WeakMap();

export class CryptoKey {
  constructor(secret) {
    if (secret !== keyBytes) throw new TypeError("Illegal constructor");
  }
}

function makeKey(bytes, hash, extractable, usages) {
  if (usages.length === 0) throw new SyntaxError("a secret key needs at least one usage");
  for (const usage of usages) {
    if (usage !== "sign" && usage !== "verify") throw new SyntaxError(`an HMAC key cannot be used to ${usage}`);
  }
  const key = new CryptoKey(keyBytes);
  const algorithm = Object.freeze({ name: "HMAC", hash: Object.freeze({ name: hash }), length: bytes.length * 8 });
  const fields = { type: "secret", extractable: Boolean(extractable), algorithm, usages: Object.freeze([...usages]) };
  for (const [name, value] of Object.entries(fields)) Object.defineProperty(key, name, { value, enumerable: true });
  keyBytes.set(key, bytes);
  return key;
}

function requireHmac(algorithm) {
  if (nameOf(algorithm) !== "HMAC") throw refuse("NotSupportedError", `the algorithm "${nameOf(algorithm)}" is not supported; HMAC is`);
}

function authenticate(algorithm, key, usage, data) {
  requireHmac(algorithm);
  const bytes = keyBytes.get(key);
  if (bytes === undefined) throw new TypeError("the key is not a CryptoKey");
  if (!key.usages.includes(usage)) throw refuse("InvalidAccessError", `the key may not be used to ${usage}`);
  return native.hmac(key.algorithm.hash.name, bytes, toBytes(data, usage));
}

export class SubtleCrypto {
  async digest(algorithm, data) {
    return native.digest(hashOf(algorithm), toBytes(data, "digest")).buffer;
  }

  async importKey(format, keyData, algorithm, extractable, usages) {
    requireHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    let bytes;
    if (format === "raw") bytes = toBytes(keyData, "importKey").slice();
    else if (format !== "jwk") throw refuse("NotSupportedError", `the key format "${format}" is not supported`);
    else if (keyData?.kty !== "oct") throw refuse("DataError", 'the JWK must have "kty" "oct"');
    else bytes = Uint8Array.fromBase64(keyData.k, { alphabet: "base64url" });
    if (bytes.length === 0) throw refuse("DataError", "an HMAC key must not be empty");
    return makeKey(bytes, hash, extractable, usages);
  }

  async generateKey(algorithm, extractable, usages) {
    requireHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    const length = algorithm.length === undefined ? BLOCK_BYTES[hash] : Math.ceil(algorithm.length / 8);
    return makeKey(native.randomBytes("crypto.subtle.generateKey", length), hash, extractable, usages);
  }

  async exportKey(format, key) {
    const bytes = keyBytes.get(key);
    if (bytes === undefined) throw new TypeError("the key is not a CryptoKey");
    if (!key.extractable) throw refuse("InvalidAccessError", "the key is not extractable");
    if (format === "raw") return bytes.slice().buffer;
    if (format !== "jwk") throw refuse("NotSupportedError", `the key format "${format}" is not supported`);
    const k = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
    return { kty: "oct", k, alg: JWK_NAMES[key.algorithm.hash.name], ext: true, key_ops: [...key.usages] };
  }

  async sign(algorithm, key, data) {
    return authenticate(algorithm, key, "sign", data).buffer;
  }

  async verify(algorithm, key, signature, data) {
    return native.equalInConstantTime(authenticate(algorithm, key, "verify", data), toBytes(signature, "verify"));
  }
}

for (const name of ["encrypt", "decrypt", "deriveBits", "deriveKey", "wrapKey", "unwrapKey"]) {
  const method = async () => {
    throw refuse("NotSupportedError", `crypto.subtle.${name} is not supported; digest and HMAC are`);
  };
  Object.defineProperty(SubtleCrypto.prototype, name, { value: method, writable: true, configurable: true });
}

export class Crypto {
  subtle = new SubtleCrypto();

  getRandomValues(array) {
    const isInteger = ArrayBuffer.isView(array) && !/^(Float|DataView)/.test(array.constructor.name);
    if (!isInteger) throw refuse("TypeMismatchError", "getRandomValues takes an array of integers");
    const bytes = toBytes(array, "getRandomValues");
    if (bytes.length > RANDOM_BYTES_MAX) {
      throw refuse("QuotaExceededError", `getRandomValues fills at most ${RANDOM_BYTES_MAX} bytes`);
    }
    bytes.set(native.randomBytes("crypto.getRandomValues", bytes.length));
    return array;
  }

  randomUUID() {
    const bytes = native.randomBytes("crypto.randomUUID", 16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }
}
