// The module `sandmill` outside of the sandbox: for tests, with the fakes of `sandmill/testing` in the place of the platform.
import { sandmill } from "./runtime/sandmill.js";

export const { blob, context, log, output, publish, resource, runs, secret, sql, state, variable } = sandmill;
export const { BlobError, ChildError, PublishError, ResourceError, RunsError, SqlError, StateError, VariableError } = sandmill;
export default sandmill;
