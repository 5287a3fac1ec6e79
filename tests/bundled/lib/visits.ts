import { state } from "sandmill";

export interface Visit {
  name: string;
  count: number;
  id: string;
  ms: number;
}

export class VisitError extends Error {
  override name = "VisitError";
}

export function visits(name: string): number {
  const count = (state.get<number>(name) ?? 0) + 1;
  state.set(name, count);
  return count;
}

export const preprocessor = (event: { body: { who: string; options?: object } }) => ({ name: event.body.who, options: event.body.options });
