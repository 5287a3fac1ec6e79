export const main = () => new Blob(["hé"], { type: "text/plain" });
