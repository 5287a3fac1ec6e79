// What `import ... from "sandmill"` gives. engine.rs evaluates it once, right after the bundle.
const sandmill = globalThis.__sandmill;
export const { context, log, output, runs, state, ChildError, RunsError, StateError } = sandmill;
export default sandmill;
