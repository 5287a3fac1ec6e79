import { blob, context, log, output, resource, runs, secret, sql, state, variable } from "sandmill";
const message = (f) => { try { return f() ?? "fine"; } catch (error) { return error.message; } };
const closed = [
  () => state.get("k"), () => state.set("k", 1), () => state.delete("k"), () => state.compareAndSwap("k", 1, 2), () => state.list(),
  () => context.runId, () => context.payload(), () => output.progress(1), () => output.write("x"),
  () => setTimeout(() => {}, 1), () => setInterval(() => {}, 1), () => setImmediate(() => {}),
  () => crypto.getRandomValues(new Uint8Array(1)), () => crypto.randomUUID(),
  () => runs.start("f/demo/child"), () => runs.wait("run-1"), () => runs.any(["run-1"]), () => runs.result("run-1"), () => runs.cancel("run-1"),
  () => variable("f/demo/region"), () => secret("f/demo/token"), () => resource.open("f/demo/account"), () => sql("f/demo/db"),
].map(message);
const calls = [() => blob.get("k"), () => blob.put("k", ""), () => blob.stat("k"), () => blob.delete("k"), () => blob.list().next(), () => fetch("http://a.test")];
for (const call of calls) closed.push(await call().then(() => "fine", (error) => error.message));
console.log("dropped");
log.info("dropped");
export const main = () => closed;
