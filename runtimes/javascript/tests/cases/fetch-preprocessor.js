export async function preprocessor(event) {
  return { text: await (await fetch(`http://a.test${event.path}`)).text() };
}
export async function main(text) {
  return [text, await (await fetch("http://a.test/chunks?n=1")).text()];
}
