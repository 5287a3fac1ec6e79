const refused = await fetch("http://a.test/echo").catch((error) => [error.name, error.message]);
// Made here, sent later.
const request = new Request("http://a.test/echo", { method: "POST", body: "early" });
export const main = async () => [refused, (await (await fetch(request)).json()).body];
