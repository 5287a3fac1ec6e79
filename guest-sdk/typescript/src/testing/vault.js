// Variables and resources. Secrets are seen by nobody but the handler of requests.
import { createHash } from "node:crypto";
import { denied, fail } from "./world.js";

// Looks as those of the platform do, and is the same each time.
function placeholder(path, pointer = "") {
  return `{{sandmill-secret:${createHash("sha256").update(`${path} ${pointer}`).digest("hex").slice(0, 32)}}}`;
}

// A resource of a type. `secrets` are the texts of its secret fields by JSON pointer: `{ "/token": "abc" }`.
export class FakeResource {
  constructor(type = "object", fields = {}, { secrets = {} } = {}) {
    this.type = type;
    this.fields = fields;
    this.secrets = secrets;
  }
}

// What is opened by using it, without being faked as a resource: what it is, how it is faked, and of which type it is.
const USED = {
  sql: ["database", (path) => `sql: { "${path}": (statement, parameters) => … }`, "postgresql"],
  publish: ["broker", (path) => `brokers: { "${path}": (message) => ({}) }`, "nats"],
};

const asResource = (given) => (given === null || given instanceof FakeResource ? given : new FakeResource("object", given));

export class Vault {
  #variables;
  #secrets;
  #isReadable;
  #resources;
  #isFaked;

  constructor({ variables = {}, secrets = {}, readableSecrets = false, resources = {} }, isFaked) {
    this.#variables = new Map(Object.entries(variables));
    this.#secrets = new Map(Object.entries(secrets));
    this.#isReadable = readableSecrets;
    this.#resources = new Map(Object.entries(resources).map(([path, given]) => [path, asResource(given)]));
    this.#isFaked = isFaked;
  }

  // Secrets, by what stands for them.
  get texts() {
    const texts = new Map([...this.#secrets].map(([path, text]) => [placeholder(path), text]));
    for (const [path, resource] of this.#resources) {
      for (const [pointer, text] of Object.entries(resource?.secrets ?? {})) texts.set(placeholder(path, pointer), text);
    }
    return texts;
  }

  variable(path) {
    if (this.#secrets.has(path)) {
      if (!this.#isReadable) denied(`reading the text of the secret variable ${path}`, "readableSecrets: true");
      return this.#secrets.get(path);
    }
    if (!this.#variables.has(path)) denied(`the variable ${path}`, `variables: { "${path}": "…" }`);
    return this.#variables.get(path) ?? fail("not-found", `there is no variable at ${path}`);
  }

  secret(path) {
    if (this.#secrets.has(path)) return placeholder(path);
    if (!this.#variables.has(path)) denied(`the secret variable ${path}`, `secrets: { "${path}": "…" }`);
    this.variable(path);
    fail("invalid", `the variable ${path} is not secret`);
  }

  resourceOpen(path, what) {
    const [name, how, type] = USED[what] ?? [];
    const isOpen = this.#resources.has(path) || (name !== undefined && this.#isFaked(what, path));
    if (!isOpen && name !== undefined) denied(`the ${name} ${path}`, how(path));
    if (!isOpen) denied(`the resource ${path}`, `resources: { "${path}": { … } }`);
    const found = this.#resources.has(path) ? this.#resources.get(path) : new FakeResource(type);
    if (found === null) fail("not-found", `there is no resource at ${path}`);
    const fields = JSON.parse(JSON.stringify(found.fields));
    return { path, type: found.type, fields, secrets: found.secrets };
  }

  resourcePlaceholder({ path, secrets }, pointer) {
    if (!Object.hasOwn(secrets, pointer)) fail("invalid", `${path} has no secret field at ${pointer}`);
    return placeholder(path, pointer);
  }
}
