// In the place of what Rust gives the runtime: the fake world that the caller is in.
import { Failure, absent, worldOf } from "../testing/world.js";

// As natives answer: the value, or what is wrong with it.
function answered(work) {
  try {
    return [work()];
  } catch (error) {
    if (error instanceof Failure) return [undefined, error.code, error.message, error.more];
    throw error;
  }
}

// What a part of the world does, by the name of its native.
const ASKED = {
  state: { stateGet: "get", stateSet: "set", stateDelete: "delete", stateSwap: "swap", stateList: "list" },
  vault: { variable: "variable", secret: "secret", resourcePlaceholder: "resourcePlaceholder" },
  runs: { runsStart: "start", runsWait: "wait", runsWaitMany: "waitMany", runsResult: "result", runsCancel: "cancel" },
  sql: {
    sqlQuery: "query",
    sqlExecute: "execute",
    sqlBegin: "begin",
    sqlQueryWithin: "queryWithin",
    sqlExecuteWithin: "executeWithin",
    sqlCommit: "commit",
    sqlRollback: "rollback",
  },
  brokers: { publish: "publish" },
  blob: { blobGet: "get", blobRead: "read", blobPut: "put", blobWrite: "write", blobFinish: "finish", blobStat: "stat", blobDelete: "delete", blobList: "list" },
};

export const native = {
  log: (level, message, fields) => worldOf()?.log(level, message, fields),
  progress: (percent, text) => here("output.progress").progress.push([percent, text]),
  write: (chunk) => here("output.write").write(chunk),
  // The runtime asks once a run, and here many runs share it.
  context: (what) => new Proxy({}, { get: (_none, name) => here(what).info()[name] }),
  payload: () => here("context.payload").payload,
  encode: (text) => new TextEncoder().encode(text),
  decode: (bytes, isStrict) => new TextDecoder("utf-8", { fatal: isStrict, ignoreBOM: true }).decode(bytes),
  resourceOpen: (what, path) => answered(() => here(what).vault.resourceOpen(path, what)),
  resourceType: (handle) => handle.type,
  resourceFields: (handle) => structuredClone(handle.fields),
  // They were read, or written, to their end.
  blobEndReading() {},
  blobEndWriting() {},
};
for (const [part, names] of Object.entries(ASKED)) {
  for (const [name, method] of Object.entries(names)) {
    native[name] = (...given) => answered(() => here(name)[part][method](...given));
  }
}

function here(what) {
  return worldOf() ?? absent(what);
}
