export const main = async () => new Uint8Array([7]).buffer;
