import sandmill, { resource, ResourceError } from "sandmill";

const told = (call) => { try { return call(); } catch (error) { return [error instanceof ResourceError, error.name, error.code, error.message]; } };

export function main() {
  const account = resource.open("f/demo/account");
  console.log(account);
  return [
    account.path, account.type, account.fields, account.fields === account.fields, account, sandmill.resource === resource,
    account.placeholder("/password"), told(() => account.placeholder("/host")),
    told(() => resource.open("f/demo/denied")), told(() => resource.open("../etc")), told(() => resource.open("f/demo/none")),
  ];
}
