import { state, context, output, log, runs } from "sandmill";
const message = (f) => { try { return f() ?? "fine"; } catch (error) { return error.message; } };
const closed = [
  () => state.get("k"), () => state.set("k", 1), () => state.delete("k"), () => state.compareAndSwap("k", 1, 2),
  () => context.runId, () => context.payload(), () => output.progress(1), () => output.write("x"),
  () => setTimeout(() => {}, 1), () => setInterval(() => {}, 1), () => setImmediate(() => {}),
  () => crypto.getRandomValues(new Uint8Array(1)), () => crypto.randomUUID(),
  () => runs.start("f/demo/child"), () => runs.wait("run-1"), () => runs.any(["run-1"]), () => runs.result("run-1"), () => runs.cancel("run-1"),
].map(message);
console.log("dropped");
log.info("dropped");
export const main = () => closed;
