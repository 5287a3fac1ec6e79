const told = (promise) => promise.then((response) => response.status, (error) => [error.name, error.message, error.cause?.code ?? null]);
const secret = "https://NAME/path?token=secret#part";

export async function main() {
  const hosts = ["denied", "private", "nowhere", "refused", "slow", "untrusted", "busy"];
  const refused = {};
  for (const host of hosts) refused[host] = await told(fetch(secret.replace("NAME", `${host}.test`)));
  const headers = {};
  for (const name of ["host", "connection", "transfer-encoding", "upgrade"]) {
    headers[name] = await told(fetch("http://a.test/echo", { headers: { [name]: "x" } }));
  }
  const cut = async (url) => {
    const response = await fetch(url);
    const reader = response.body.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    return [first, ...(await told(reader.read().then(() => response)))];
  };
  return {
    refused,
    headers,
    value: await told(fetch("http://a.test/echo", { headers: { "x-bad": "a\u0001b" } })),
    tooLarge: await told(fetch("http://a.test/echo", { headers: { "x-large": "x".repeat(40_000) } })),
    method: [await told(fetch("http://a.test/echo", { method: "B AD" }))],
    user: await told(fetch("http://user:secret@a.test/echo")),
    scheme: await told(fetch("data:text/plain,x")),
    noUrl: (await told(fetch("/relative")))[0],
    cut: await cut("http://a.test/cut"),
    short: await cut("http://a.test/cut?length=100"),
    whole: await told(fetch("http://a.test/cut").then((response) => response.text())),
    source: await fetch("http://a.test/echo", { method: "POST", duplex: "half", body: new ReadableStream({ pull() { throw new RangeError("dry"); } }) })
      .catch((error) => [error.name, error.message, error.cause.name, error.cause.message]),
    chunk: await fetch("http://a.test/echo", { method: "POST", duplex: "half", body: ReadableStream.from([1]) }).catch((error) => [error.name, error.cause.name]),
    // The answer's body ends with what went wrong on the way up.
    mirror: await (async () => {
      let fail;
      const body = new ReadableStream({ start(controller) { controller.enqueue(new Uint8Array(1)); fail = () => controller.error(new RangeError("late")); } });
      const response = await fetch("http://a.test/mirror", { method: "POST", duplex: "half", body });
      const reader = response.body.getReader();
      await reader.read();
      fail();
      return reader.read().catch((error) => [error.name, error.cause.message]);
    })(),
  };
}
