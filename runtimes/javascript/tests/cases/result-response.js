export const main = () => new Response("made", { status: 201, headers: { "X-Kind": "test" } });
