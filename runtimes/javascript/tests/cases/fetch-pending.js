// What is under way when main returns ends with the run.
export function main() {
  fetch("http://a.test/hang").then(() => console.log("never"));
  fetch("http://a.test/hang-body").then((response) => response.text());
  return "done";
}
