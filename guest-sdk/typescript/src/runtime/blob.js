// Node's own, which gives its bytes as a stream.
export const { Blob } = globalThis;
export const bytesOf = (blob) => blob.stream();
