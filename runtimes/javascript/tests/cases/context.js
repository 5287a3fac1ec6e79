import { context } from "sandmill";
export function main() {
  const { runId, script, version, workspace, trigger, attempt, deadline, runAs } = context;
  return { runId, script, version, workspace, trigger, attempt, deadline, runAs, payload: [...context.payload()] };
}
