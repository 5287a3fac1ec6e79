// A fake world for unit tests of scripts.
//
//     const fakes = new Fakes({ variables: { "f/demo/region": "eu" } });
//     assert.equal(await fakes.call(main, { name: "Ann" }), "Hello, Ann!");
//     assert.equal(fakes.logs[0].message, "greeting");
//
// What was not faked is denied, and the message says how to fake it: as on the platform, where nothing works that was not granted. State, log,
// output and context need no grant, and are always there.
import { Objects } from "./blob.js";
import { Brokers } from "./brokers.js";
import { InvalidArguments, call } from "./call.js";
import { Http } from "./http.js";
import { PENDING, Runs } from "./runs.js";
import { Sql, databaseError } from "./sql.js";
import { State } from "./state.js";
import { FakeResource, Vault } from "./vault.js";
import { start, stop, within } from "./world.js";

export { FakeResource, InvalidArguments, PENDING, call, databaseError };

const LEVELS = ["trace", "debug", "info", "warn", "error"];
// What the clock of fakes says, if nothing else is said.
const EPOCH = Date.UTC(2026, 0, 1);
// How long a run may take, if its context says no deadline.
const RUN_MS = 60_000;

const CONTEXT = {
  runId: "00000000-0000-7000-8000-000000000001",
  script: "u/test/script",
  version: `sha256:${"0".repeat(64)}`,
  workspace: "test",
  trigger: undefined,
  attempt: 1,
  deadline: undefined,
  runAs: "u/test",
};

// No name may be wrong in silence.
function known(what, given, names) {
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`${what} ${unknown}`);
}

const NAMES = [
  "variables", "secrets", "readableSecrets", "resources", "sql", "brokers", "http", "runs", "blob", "state", "context", "payload", "clock",
];

// One world: what natives ask of it.
class World {
  logs = [];
  progress = [];
  chunks = [];

  constructor(given) {
    this.now = new Date(given.clock ?? EPOCH);
    this.began = this.now.getTime();
    this.state = new State(given.state ?? {});
    this.sql = new Sql(given.sql ?? {});
    this.brokers = new Brokers(given.brokers ?? {});
    this.vault = new Vault(given, (what, path) => (what === "sql" ? this.sql : this.brokers).has(path));
    this.http = new Http(given.http, this.vault);
    this.runs = new Runs(given.runs ?? {});
    this.blob = new Objects(given.blob, () => this.now);
    this.context = { ...CONTEXT, ...given.context };
    this.payload = given.payload ?? new Uint8Array();
  }

  info() {
    const { deadline, ...told } = this.context;
    return { ...told, deadlineMs: deadline?.getTime() ?? this.began + RUN_MS };
  }

  log(level, message, fields) {
    this.logs.push({ level: LEVELS[level], message, fields: fields === undefined ? {} : JSON.parse(fields) });
  }

  write(chunk) {
    this.chunks.push(chunk.slice());
  }
}

export class Fakes {
  #world;

  constructor(given = {}) {
    known("there is no fake called", given, NAMES);
    known("the context has no", given.context ?? {}, Object.keys(CONTEXT));
    this.#world = new World(given);
  }

  // Runs the work in this world, with whatever it awaits.
  run(work) {
    return within(this.#world, work);
  }

  // Calls `main` in this world, as the platform does.
  call(main, args, options) {
    return this.run(() => call(main, args, options));
  }

  // For `beforeEach`, with `stop` for `afterEach`.
  start() {
    start(this.#world);
    return this;
  }

  stop() {
    stop(this.#world);
  }

  get logs() {
    return this.#world.logs;
  }

  get progress() {
    return this.#world.progress;
  }

  get output() {
    return new Uint8Array(Buffer.concat(this.#world.chunks));
  }

  get state() {
    return this.#world.state.values;
  }

  get objects() {
    const objects = [...this.#world.blob.objects];
    return Object.fromEntries(objects.map(([key, { data, contentType }]) => [key, { data, contentType, text: new TextDecoder().decode(data) }]));
  }

  get requests() {
    return this.#world.http.requests;
  }

  get runs() {
    return this.#world.runs.started;
  }

  get statements() {
    return this.#world.sql.statements;
  }

  get messages() {
    return this.#world.brokers.messages;
  }

  get now() {
    return this.#world.now;
  }

  // Sets the clock on.
  advance(ms) {
    this.#world.now = new Date(this.#world.now.getTime() + ms);
  }
}
