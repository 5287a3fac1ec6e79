export async function main() {
  const stream = new ReadableStream({
    async start(controller) {
      for (const byte of [0xff, 0xfe]) {
        await new Promise((done) => setTimeout(done, 1));
        controller.enqueue(new Uint8Array([byte]));
      }
      controller.close();
    },
  });
  const headers = new Headers();
  headers.append("set-cookie", "a=1");
  headers.append("set-cookie", "b=2");
  return new Response(stream, { headers });
}
