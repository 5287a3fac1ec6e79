// Variables: `variable` and `secret` of the module `sandmill`.
import { Refused, taker } from "./errors.js";
import { native } from "./native.js";

export class VariableError extends Refused {}

const taken = taker(VariableError);

export const variable = (path) => taken(native.variable(String(path)));
export const secret = (path) => taken(native.secret(String(path)));
