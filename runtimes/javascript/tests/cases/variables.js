import sandmill, { secret, variable, VariableError } from "sandmill";

const told = (call) => { try { return call(); } catch (error) { return [error instanceof VariableError, error.name, error.code, error.message]; } };

export const main = () => [
  variable("f/demo/region"), secret("f/demo/token"), sandmill.variable === variable && sandmill.secret === secret,
  told(() => variable("f/demo/token")), told(() => variable("f/demo/none")), told(() => secret("f/demo/none")),
];
