import { log, output } from "sandmill";
export function main() {
  output.progress(50, "half");
  output.progress(100);
  output.write("text ");
  output.write(new TextEncoder().encode("bytes"));
  log.trace("t");
  log.debug("d", { a: 1 });
  log.info("half \ud800");
  log.warn("w", { list: [1, 2] });
  log.error("e");
}
