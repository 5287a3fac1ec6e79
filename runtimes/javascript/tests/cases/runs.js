import sandmill, { ChildError, runs, RunsError } from "sandmill";

function thrown(call) {
  try {
    return { returned: call() };
  } catch (error) {
    const { name, message, code, runId, outcome, details, childStack } = error;
    return { name, message, code, runId, outcome, details, childStack, own: error instanceof RunsError, child: error instanceof ChildError };
  }
}

export function main() {
  const one = runs.start("f/demo/child", { n: 1 });
  const two = runs.start("f/demo/child@3", { n: 2 }, { delayMs: 1.5, priority: -7, tag: "gpu", key: "k" });
  const failing = runs.start("f/demo/child", { fail: true });
  const { run } = runs;
  return {
    same: sandmill.runs === runs,
    ids: [one, two],
    one: runs.wait(one),
    both: runs.wait([two, one], { timeoutMs: 5000 }),
    any: runs.any([one, two], { timeoutMs: 1 }),
    run: run("f/demo/child", { n: 4 }, { timeoutMs: 10 }),
    none: run("f/demo/child"),
    skipped: run("f/demo/child", { skip: 1 }) === undefined,
    bytes: ((image) => [image.contentType, ...image.data])(run("f/demo/child", { bytes: 1 })),
    result: runs.result(one),
    cancelled: runs.cancel(one),
    failed: thrown(() => runs.wait(failing)),
    failedOfMany: thrown(() => runs.wait([one, failing])).message,
    failedResult: ((result) => [result.ok, result.error.name])(runs.result(failing)),
    denied: thrown(() => runs.start("f/demo/denied")),
    strict: thrown(() => runs.start("f/demo/strict", {})),
    unknown: thrown(() => runs.wait("run-99")).code,
    late: thrown(() => runs.wait([one, two], { timeoutMs: 1 })).code,
    badTime: thrown(() => runs.wait(one, { timeoutMs: "soon" })).name,
    badArgs: thrown(() => runs.start("f/demo/child", () => 1)).name,
  };
}
