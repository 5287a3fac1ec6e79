import { state, context, output, log } from "sandmill";
const message = (f) => { try { return f() ?? "fine"; } catch (error) { return error.message; } };
const closed = [
  () => state.get("k"), () => state.set("k", 1), () => state.delete("k"), () => state.compareAndSwap("k", 1, 2),
  () => context.runId, () => context.payload(), () => output.progress(1), () => output.write("x"),
  () => setTimeout(() => {}, 1), () => setInterval(() => {}, 1), () => setImmediate(() => {}),
  () => crypto.getRandomValues(new Uint8Array(1)), () => crypto.randomUUID(),
].map(message);
console.log("dropped");
log.info("dropped");
export const main = () => closed;
