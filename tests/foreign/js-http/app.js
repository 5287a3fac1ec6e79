// A fetch handler as service workers and edge platforms have them.

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));

async function handle(request) {
  const url = new URL(request.url);
  switch (url.pathname.replace(/\/+$/, "").split("/").pop()) {
    case "stream":
      return stream(Number(url.searchParams.get("pause") ?? 0));
    case "fail":
      throw new TypeError("asked to fail");
    case "half":
      return half();
    case "teapot":
      return reply({ teapot: true }, 418);
    case "fetch":
      return proxy(url.searchParams.get("url"));
    default:
      return echo(request, url);
  }
}

// What arrived, as JSON.
async function echo(request, url) {
  const headers = {};
  for (const [name, value] of request.headers) (headers[name] ??= []).push(value);
  const text = await request.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: the text as it is.
  }
  console.log(`serving ${request.method} ${url.pathname}`);
  return reply({ language: "javascript", method: request.method, path: url.pathname, query: url.search, headers, body });
}

// Five lines, with `?pause=MS` that far from each other.
function stream(pause) {
  const encoder = new TextEncoder();
  let line = 0;
  const body = new ReadableStream({
    async pull(controller) {
      if (line > 0 && pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      controller.enqueue(encoder.encode(`line ${line}\n`));
      line += 1;
      if (line === 5) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/plain", "x-made-by": "componentize-js" } });
}

// Fails when the head and the first line are on their way.
function half() {
  let line = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (line++ === 0) controller.enqueue(new TextEncoder().encode("line 0\n"));
      else controller.error(new Error("asked to fail half-way"));
    },
  });
  return new Response(body);
}

// Gets `?url=` and says what came back.
async function proxy(url) {
  const response = await fetch(url);
  return reply({ status: response.status, body: await response.text() });
}

function reply(value, status = 200) {
  return new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", "x-made-by": "componentize-js" },
  });
}
