// What `import ... from "sandmill"` gives. engine.rs evaluates it once, right after the bundle.
const sandmill = globalThis.__sandmill;
export const { blob, context, log, output, publish, resource, runs, secret, sql, state, variable } = sandmill;
export const { BlobError, ChildError, PublishError, ResourceError, RunsError, SqlError, StateError, VariableError } = sandmill;
export default sandmill;
