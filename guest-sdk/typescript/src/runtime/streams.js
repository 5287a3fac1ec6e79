export const { ReadableStream } = globalThis;
