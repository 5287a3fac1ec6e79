import { variable } from "sandmill";

/** A link that whoever knows the key can check: to a file, until a time. */
export async function main(file: string, until: Date) {
  const site = variable("f/examples/site");
  const path = `/files/${encodeURIComponent(file)}?until=${Math.floor(until.getTime() / 1000)}`;
  return { link: `${site}${path}&signature=${await sign(path)}` };
}

async function sign(text: string): Promise<string> {
  const encoder = new TextEncoder();
  // To read a secret takes a grant of its own. It is masked in the log and in the result, should it ever come there.
  const secret = encoder.encode(variable("f/examples/signing-key"));
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
  console.log("signed with", variable("f/examples/signing-key"));
  return Array.from(signature.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
