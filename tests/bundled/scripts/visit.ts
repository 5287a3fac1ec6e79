// Counts visits, with packages and a file of the project.
import ms from "ms";
import { customAlphabet } from "nanoid";
import units from "../lib/units.json" with { type: "json" };
import { visits, type Visit, VisitError } from "../lib/visits";

export interface Options {
  /** How long a visit counts. */
  lasts?: string;
}

const id = customAlphabet("a", 5);

/** One visit more. */
export async function main(name: string, options: Options = {}): Promise<Visit> {
  if (name === "nobody") {
    throw new VisitError("who?");
  }
  return { name, count: visits(name), id: id(), ms: ms((options.lasts ?? units.default) as ms.StringValue) };
}

export { preprocessor } from "../lib/visits";
