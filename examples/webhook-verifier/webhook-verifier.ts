import { log } from "sandmill";

// A real secret does not belong into a script; this one is the example's, from GitHub's documentation.
const SECRET = "It's a Secret to Everybody";

interface Event {
  /** The body, byte for byte; null if it is not UTF-8. */
  raw: string | null;
  headers: Record<string, string>;
}

/** Signatures are made over the bytes that were sent, so the event is needed, not the arguments made of it. */
export function preprocessor(event: Event) {
  return { body: event.raw ?? "", signature: event.headers["x-hub-signature-256"] ?? "" };
}

/**
 * Accepts a delivery that is signed as GitHub signs them.
 * @param body The body as it was sent
 * @param signature `sha256=` and the HMAC in hexadecimal
 */
export async function main(body: string, signature: string) {
  if (!(await isGenuine(body, signature))) {
    log.warn("a delivery with a wrong signature");
    return { $http: { status: 401, headers: { "content-type": "application/json" }, body: { error: "wrong signature" } } };
  }
  return { accepted: true, length: body.length };
}

async function isGenuine(body: string, signature: string): Promise<boolean> {
  const hex = /^sha256=([0-9a-f]{64})$/.exec(signature)?.[1];
  if (hex === undefined) return false;
  const mac = Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
  const text = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", text.encode(SECRET), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  // `verify` compares in constant time; comparing strings would not.
  return crypto.subtle.verify("HMAC", key, mac, text.encode(body));
}
