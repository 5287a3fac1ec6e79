// Every example of the README compiles with the options that it names; those that can be run are run. Its chapters are those of the other languages.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Fakes } from "sandmill/testing";
import typescript from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }));
const of = (wanted) => blocks.filter(({ language }) => language === wanted).map(({ text }) => text);

// In the order of the page.
const NAMES = ["greeting", "hook", "items", "report", "orders", "chunks"];
const scripts = Object.fromEntries(of("ts").map((text, index) => [NAMES[index], text]));
const TYPES = ["sandmill.d.ts", "sandmill.globals.d.ts"];
const LIB = "export const chunk = <T>(all: T[], size: number): T[][] => (all.length > size ? [all.slice(0, size), ...chunk(all.slice(size), size)] : [all]);\n";

// A project of somebody who has installed the package.
const folder = mkdtempSync(join(tmpdir(), "sandmill-readme-"));
mkdirSync(join(folder, "node_modules"));
symlinkSync(root, join(folder, "node_modules/sandmill"));
writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
after(() => rmSync(folder, { recursive: true }));

function write(name, text) {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

const javascript = (text) =>
  typescript.transpileModule(text, { compilerOptions: { target: "es2022", module: "esnext", experimentalDecorators: true } }).outputText;

async function load(name) {
  write("lib/chunk.js", javascript(LIB));
  write(`${name}.js`, javascript(scripts[name]).replace('"./lib/chunk"', '"./lib/chunk.js"'));
  return import(pathToFileURL(join(folder, `${name}.js`)).href);
}

function tsc(config) {
  write("tsconfig.json", JSON.stringify(config));
  try {
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout);
  }
}

test("the scripts compile with the options of the page", () => {
  assert.equal(of("ts").length, NAMES.length);
  const config = JSON.parse(of("json")[0]);
  for (const [name, text] of Object.entries(scripts)) write(`scripts/${name}.ts`, text);
  write("scripts/lib/chunk.ts", LIB);
  // As the package brings it, and as a file of the project.
  tsc({ compilerOptions: { ...config.compilerOptions, types: ["sandmill"] }, include: ["scripts"] });
  rmSync(join(folder, "node_modules/sandmill"));
  try {
    for (const types of TYPES) write(types, readFileSync(join(root, types), "utf8"));
    tsc(config);
  } finally {
    for (const types of TYPES) rmSync(join(folder, types));
    symlinkSync(root, join(folder, "node_modules/sandmill"));
  }
});

test("types of the package are found by its name, and those of the fakes stand alone", () => {
  const use = `import { state, type Json } from "sandmill";
import { Fakes, PENDING, call } from "sandmill/testing";
const fakes = new Fakes({ state: { a: 1 }, runs: { "f/a/b": PENDING }, http: (request) => new Response(request.url) });
export const value: Json = fakes.run(() => state.get<number>("a") ?? null);
export const result: Promise<unknown> = call((day: Date) => day, {}, { dates: ["day"] });
// @ts-expect-error There is no such fake.
new Fakes({ variable: {} });
`;
  write("scripts/use.ts", use);
  tsc({ compilerOptions: JSON.parse(of("json")[0]).compilerOptions, files: ["scripts/use.ts"] });
});

test("greeting", async () => {
  const fakes = new Fakes({ state: { visits: 1 } });
  assert.deepEqual(await fakes.call((await load("greeting")).main, { name: "Ann", count: 2 }), ["Hello, Ann!", "Hello, Ann!"]);
  assert.deepEqual([fakes.state.visits, fakes.logs[0].fields], [2, { name: "Ann", visits: 2 }]);
});

test("hook", async () => {
  const { preprocessor, main } = await load("hook");
  assert.deepEqual(preprocessor({ headers: {}, body: { customer: "c7" } }), { customer: "c7" });
  assert.equal(preprocessor({ headers: { "x-event": "ping" }, body: {} }), null);
  assert.throws(() => preprocessor({ headers: {}, body: {} }), { message: "a customer is missing", status: 400 });
  assert.equal(await new Fakes().call(main, { customer: "c7" }), "C7");
});

test("orders", async () => {
  const fakes = new Fakes({ brokers: { "f/demo/broker": ({ text }) => ({ sequence: text.length }) } });
  assert.equal(await fakes.call((await load("orders")).main, { order: { id: "7", total: 1.5 } }), 22);
  const [{ path, to, headers, id, kept }] = fakes.messages;
  assert.deepEqual([path, to, headers, id, kept], ["f/demo/broker", "orders.new", { "x-shop": ["eu"] }, "7", true]);
});

test("items", async () => {
  const http = { "GET https://api.example.com/items/1": { id: 1 }, "GET https://api.example.com/items/2": { id: 2 } };
  const fakes = new Fakes({ secrets: { "f/demo/token": "t0ken" }, http });
  assert.deepEqual(await fakes.call((await load("items")).main, { ids: ["1", "2"] }), [{ id: 1 }, { id: 2 }]);
  assert.equal(fakes.requests[0].headers.get("authorization"), "Bearer t0ken");
});

test("chunks", async () => {
  assert.deepEqual(await new Fakes().call((await load("chunks")).main, { ids: ["a", "b", "c"], size: 2 }), ["a,b", "c"]);
});

test("the example of a test passes", async () => {
  await load("report");
  write("report.test.mjs", of("js")[0].replace("./report.ts", "./report.js"));
  // Not as a part of these.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  execFileSync(process.execPath, ["--test", join(folder, "report.test.mjs")], { env });
});

test("the chapters are those of the other languages", () => {
  const chapters = (text) => [...text.matchAll(/^## (.*)$/gm)].map(([, name]) => name);
  const python = readFileSync(join(root, "../python/README.md"), "utf8");
  assert.deepEqual(chapters(readme), chapters(python));
});
