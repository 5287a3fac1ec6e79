import assert from "node:assert/strict";
import { test } from "node:test";
import { Fakes, InvalidArguments, call } from "sandmill/testing";
import { parametersOf } from "../src/testing/parameters.js";

test("parameters are found by their names", () => {
  class Scripts {
    async method(a, b) {}
    async *many(a) {}
  }
  const { method, many } = Scripts.prototype;
  for (const [main, names] of [
    [() => {}, []],
    [function main(a, b = 1, c = { d: [1, 2], e: (x, y) => ")" }) {}, ["a", "b", "c"]],
    [async (a /* , not = */, b = "a, (", c = `)${"}"}`, d = /[/),]/g) => {}, ["a", "b", "c", "d"]],
    [(a) => a, ["a"]],
    [a => (a, 1), ["a"]],
    [async a => a, ["a"]],
    [async => async, ["async"]],
    [async function (größe, $x, _y,) {}, ["größe", "$x", "_y"]],
    [
      // a comment before
      (
        a, // one
        b = 4 / 2, // two / three
      ) => a / b,
      ["a", "b"],
    ],
    [method, ["a", "b"]],
    [many, ["a"]],
    [(function () {}), []],
  ]) {
    assert.deepEqual(parametersOf(main), names, String(main));
  }
  assert.throws(() => parametersOf(({ a }) => a), /taken apart/);
  assert.throws(() => parametersOf((...all) => all), /rest/);
  assert.throws(() => parametersOf(5), /not a function/);
});

test("arguments and results are JSON", async () => {
  assert.equal(await call((name, count = 3) => name.repeat(count), { count: undefined, name: "a", other: 1 }), "aaa");
  assert.equal(await call((toString) => typeof toString, {}), "undefined");
  assert.deepEqual(await call(async (at) => ({ at, none: undefined }), { at: new Date(0) }), { at: "1970-01-01T00:00:00.000Z" });
  assert.equal(await call(() => undefined), null);
  assert.deepEqual(await call(() => new Uint8Array([1])), { contentType: "application/octet-stream", data: new Uint8Array([1]) });
  assert.deepEqual(await call(() => new Blob(["a"], { type: "text/plain" })), { contentType: "text/plain", data: new Uint8Array([97]) });
  const answer = await call(() => Response.json({ a: 1 }, { status: 201, headers: { "set-cookie": "a=1" } }));
  assert.deepEqual(answer, { $http: { status: 201, headers: { "content-type": "application/json", "set-cookie": "a=1" }, body: '{"a":1}' } });
  await assert.rejects(call((a) => a, [1]), /an object/);
});

test("dates are named", async () => {
  const main = (day, until) => [day instanceof Date, until ?? null];
  assert.deepEqual(await call(main, { day: "2026-01-31" }, { dates: ["day"] }), [true, null]);
  assert.deepEqual(await call(main, { day: null }, { dates: ["day"] }), [false, null]);
  await assert.rejects(call(main, { day: "soon" }, { dates: ["day"] }), (error) => error instanceof InvalidArguments && error.faults[0].pointer === "/day");
  await assert.rejects(call(main, {}, { dates: ["night"] }), /night/);
});

test("a call in a world", async () => {
  const fakes = new Fakes({ http: { "GET https://example.com/": { id: 1 } } });
  assert.equal(await fakes.call(async (key) => (await (await fetch("https://example.com/")).json())[key], { key: "id" }), 1);
});
