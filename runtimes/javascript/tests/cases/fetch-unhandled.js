export async function main() {
  fetch("http://denied.test/");
  await new Promise((done) => setTimeout(done, 20));
  return "done";
}
