import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import sandmill, { BlobError, PublishError, ResourceError, RunsError, SqlError, StateError, VariableError } from "sandmill";
import { blob, context, log, output, publish, resource, runs, secret, sql, state, variable } from "sandmill";
import { FakeResource, Fakes, PENDING, databaseError } from "sandmill/testing";

const within = (given, work) => new Fakes(given).run(work);

test("nothing is there without a world, and nothing is faked by itself", async () => {
  assert.throws(() => state.get("x"), /state[.]?.*no fakes here/i);
  log.info("dropped");
  const refused = (work, Type, code = "denied") => assert.throws(work, (error) => error instanceof Type && error.code === code && /Fakes/.test(error.message));
  await within({}, async () => {
    refused(() => variable("f/a/b"), VariableError);
    refused(() => secret("f/a/b"), VariableError);
    refused(() => resource.open("f/a/b"), ResourceError);
    refused(() => sql("f/a/b"), ResourceError);
    refused(() => publish("f/a/b", "x", ""), ResourceError);
    refused(() => runs.start("f/a/b"), RunsError);
    await assert.rejects(blob.get("a"), BlobError);
    await assert.rejects(fetch("https://example.com/x?secret=1"), (error) => {
      return error instanceof TypeError && error.cause.code === "HTTP-request-denied" && !error.message.includes("secret");
    });
  });
  assert.throws(() => new Fakes({ variable: {} }), /no fake called variable/);
  assert.throws(() => new Fakes({ context: { tries: 1 } }), /tries/);
  assert.equal(sandmill.state, state);
});

test("state is JSON, with its limits", () => {
  const fakes = new Fakes({ state: { a: { x: 1, y: [2] } } });
  fakes.run(() => {
    const first = state.get("a");
    first.x = 9;
    assert.deepEqual(state.get("a"), { x: 1, y: [2] });
    assert.equal(state.get("none"), undefined);
    assert.equal(state.compareAndSwap("a", { y: [2], x: 1 }, undefined), true);
    assert.equal(state.compareAndSwap("a", null, 1), false);
    assert.equal(state.compareAndSwap("a", undefined, null), true);
    assert.equal(state.get("a"), null);
    state.set("b/2", new Date(0));
    state.set("b/1", { left: undefined });
    assert.deepEqual(state.list("b/"), ["b/1", "b/2"]);
    assert.deepEqual(state.list("b/", { after: "b/1" }), ["b/2"]);
    assert.throws(() => state.get(""), (error) => error instanceof StateError && error.code === "invalid-key");
    assert.throws(() => state.set("x", "y".repeat(2 ** 20)), (error) => error.code === "too-large");
    assert.throws(() => state.set("x", undefined), TypeError);
    state.delete("a");
  });
  assert.deepEqual(fakes.state, { "b/2": "1970-01-01T00:00:00.000Z", "b/1": {} });
});

test("variables and resources keep their secrets", async () => {
  const given = {
    variables: { "f/a/plain": "eu", "f/a/gone": null },
    secrets: { "f/a/token": "t0/ken" },
    resources: { "f/a/shop": new FakeResource("shop", { name: "Rose" }, { secrets: { "/key": "k" } }), "f/a/gone": null },
    http: (request) => ({ authorization: request.headers.get("authorization"), url: request.url }),
  };
  const fakes = new Fakes(given);
  await fakes.run(async () => {
    assert.equal(variable("f/a/plain"), "eu");
    assert.throws(() => variable("f/a/gone"), { code: "not-found" });
    assert.throws(() => variable("f/a/token"), { code: "denied" });
    assert.throws(() => secret("f/a/plain"), { code: "invalid" });
    const shop = resource.open("f/a/shop");
    assert.deepEqual([shop.path, shop.type, shop.fields], ["f/a/shop", "shop", { name: "Rose" }]);
    assert.throws(() => resource.open("f/a/gone"), { code: "not-found" });
    assert.throws(() => shop.placeholder("/name"), { code: "invalid" });
    const headers = { authorization: `Bearer ${secret("f/a/token")}` };
    const response = await fetch(`https://example.com/x?key=${shop.placeholder("/key")}&t=${encodeURIComponent(secret("f/a/token"))}`, {
      method: "POST",
      headers,
      body: JSON.stringify({ token: secret("f/a/token") }),
    });
    assert.deepEqual(await response.json(), { authorization: "Bearer t0/ken", url: "https://example.com/x?key=k&t=t0%2Fken" });
    assert.ok(!response.url.includes("t0"), "the script does not see it");
  });
  assert.deepEqual(fakes.requests[0].json(), { token: "t0/ken" });
  within({ ...given, readableSecrets: true }, () => assert.equal(variable("f/a/token"), "t0/ken"));
});

test("requests are answered and redirected", async () => {
  const fakes = new Fakes({
    http: {
      "GET https://a.example/from": () => new Response(null, { status: 302, headers: { location: "https://b.example/to" } }),
      "GET https://b.example/to": [1, 2],
      "GET https://a.example/text": new Response("hi", { status: 418 }),
      "GET https://a.example/slow": () => new Promise(() => {}),
    },
  });
  await fakes.run(async () => {
    const response = await fetch("https://a.example/from", { headers: { authorization: "x", accept: "y" } });
    assert.deepEqual([response.url, response.redirected, await response.json()], ["https://b.example/to", true, [1, 2]]);
    assert.equal((await fetch("https://a.example/from", { redirect: "manual" })).status, 302);
    await assert.rejects(fetch("https://a.example/from", { redirect: "error" }), TypeError);
    for (let again = 0; again < 2; again++) assert.equal(await (await fetch("https://a.example/text?q=1")).text(), "hi");
    await assert.rejects(fetch("https://a.example/slow", { signal: AbortSignal.timeout(5) }), { name: "TimeoutError" });
  });
  const [first, second] = fakes.requests;
  assert.deepEqual([first.headers.get("authorization"), second.headers.get("authorization"), second.headers.get("accept")], ["x", null, "y"]);
  const before = fetch;
  await within({}, () => undefined);
  assert.equal(fetch, before);
});

test("databases are functions of the test", async () => {
  const rows = [{ id: 1, name: "Ann" }];
  const database = (statement, parameters) => {
    if (statement.startsWith("INSERT")) return parameters[0] === 13 ? databaseError("23505", "duplicate", { constraint: "pk" }) : 1;
    return rows;
  };
  const fakes = new Fakes({ sql: { "f/a/db": database } });
  await fakes.run(async () => {
    const db = sql("f/a/db");
    const found = db.query("SELECT * FROM t WHERE at = $1 AND raw = $2", [new Date(0), new Uint8Array([1, 2])]);
    assert.deepEqual([...found], rows);
    assert.deepEqual(found.columns.map(({ name }) => name), ["id", "name"]);
    assert.equal(db.execute("INSERT INTO t VALUES ($1)", [2n]), 1);
    assert.equal(db.transaction((tx) => tx.execute("INSERT INTO t VALUES ($1)", [3])), 1);
    await assert.rejects(db.transaction(async (tx) => tx.execute("INSERT INTO t VALUES ($1)", [13])), (error) => {
      return error instanceof SqlError && error.code === "database" && error.database.constraint === "pk";
    });
    assert.throws(() => db.execute("BEGIN"), { code: "invalid" });
    assert.throws(() => db.query("INSERT INTO t VALUES (1)"), { code: "invalid" });
    for (let at = 0; at < 10; at++) db.transaction(() => {});
  });
  const { statements } = fakes;
  assert.deepEqual(statements[0].parameters, ["1970-01-01T00:00:00.000Z", "AQI="]);
  assert.deepEqual(statements.map(({ ended }) => ended).slice(0, 4), [undefined, undefined, "committed", "undone"]);
});

test("brokers are functions of the test", () => {
  const brokers = { "f/a/broker": ({ kept }) => (kept ? { sequence: 1 } : undefined), "f/a/late": async () => ({}) };
  const fakes = new Fakes({ brokers, resources: { "f/a/broker": new FakeResource("nats"), "f/a/other": new FakeResource("nats") } });
  fakes.run(() => {
    assert.deepEqual(publish("f/a/broker", "orders", { a: 1 }, { headers: { x: ["1", "2"], y: "3" }, id: "7", kept: true }), { sequence: 1 });
    assert.deepEqual(publish(resource.open("f/a/broker"), "orders", new Uint8Array([0xff])), {});
    assert.throws(() => publish("f/a/other", "orders", ""), (error) => error instanceof PublishError && error.code === "denied" && /Fakes/.test(error.message));
    assert.throws(() => publish("f/a/broker", "orders", new Uint8Array(8 * 1024 * 1024 + 1)), { name: "PublishError", code: "too-large" });
    assert.throws(() => publish("f/a/broker", "orders", () => {}), TypeError);
    assert.throws(() => publish("f/a/late", "orders", ""), /async/);
  });
  const [first, second] = fakes.messages;
  assert.deepEqual([first.path, first.to, first.text, first.headers], ["f/a/broker", "orders", '{"a":1}', { x: ["1", "2"], y: ["3"] }]);
  assert.deepEqual([first.id, first.kept, second.id, second.kept, [...second.payload]], ["7", true, undefined, false, [255]]);
});

test("objects are written as a whole", async () => {
  const fakes = new Fakes({ blob: { "a/1": "one" } });
  await fakes.run(async () => {
    const found = await blob.get("a/1");
    assert.deepEqual([found.size, await found.text()], [3, "one"]);
    await assert.rejects(found.text(), TypeError);
    assert.equal(await blob.get("a/2"), undefined);
    await blob.put("a/2", new Blob(["two"], { type: "text/plain" }));
    await blob.put("a/3", new Response("three").body, { contentType: "x/y" });
    await blob.put("a/4", new Uint8Array([1]).buffer);
    const keys = [];
    for await (const { key } of blob.list("a/", { limit: 3 })) keys.push(key);
    assert.deepEqual(keys, ["a/1", "a/2", "a/3"]);
    assert.equal((await blob.stat("a/3")).contentType, "x/y");
    const parts = [];
    for await (const part of (await blob.get("a/3")).stream()) parts.push(Buffer.from(part).toString());
    assert.deepEqual(parts, ["three"]);
    await blob.delete("a/1");
    await assert.rejects(blob.put("a//1", ""), { code: "invalid" });
    await assert.rejects(blob.put("x", 5), TypeError);
  });
  assert.deepEqual(Object.keys(fakes.objects), ["a/2", "a/3", "a/4"]);
  assert.equal(fakes.objects["a/2"].text, "two");
});

test("children run when they are started", () => {
  const fakes = new Fakes({
    runs: {
      "f/a/count": (text, times = 1) => text.length * times,
      "f/a/bad": Object.assign(new RangeError("no"), { at: 3 }),
      "f/a/bytes": new Uint8Array([1]),
      "f/a/slow": PENDING,
      "f/a/value": { x: [1] },
    },
  });
  fakes.run(() => {
    assert.equal(runs.run("f/a/count@3", { text: "abc", times: 2 }), 6);
    assert.throws(() => runs.run("f/a/bad"), { name: "RangeError", message: "no", outcome: "error", details: { at: 3 } });
    assert.deepEqual(runs.run("f/a/bytes").data, new Uint8Array([1]));
    const slow = runs.start("f/a/slow", {}, { key: "k", delayMs: 5 });
    assert.equal(runs.start("f/a/slow", {}, { key: "k" }), slow);
    const done = runs.start("f/a/value");
    assert.deepEqual(runs.any([slow, done]), [done]);
    assert.throws(() => runs.wait([slow, done]), { code: "timeout" });
    assert.deepEqual(runs.result(done), { ok: true, value: { x: [1] } });
    assert.equal(runs.result(slow), undefined);
    assert.equal(runs.cancel(slow), true);
    assert.equal(runs.cancel(slow), false);
    assert.equal(runs.result(slow).error.outcome, "cancelled");
    assert.throws(() => runs.wait("nobody"), { code: "not-found" });
  });
  assert.deepEqual(fakes.runs.map(({ path, delayMs }) => [path, delayMs]).slice(3, 4), [["f/a/slow", 5]]);
});

test("context, log and output", async () => {
  const fakes = new Fakes({ context: { attempt: 2, trigger: { kind: "schedule" } }, payload: new Uint8Array([7]) });
  await fakes.run(async () => {
    assert.deepEqual([context.attempt, context.trigger.kind, context.runAs, context.payload()[0]], [2, "schedule", "u/test", 7]);
    assert.equal(context.deadline.toISOString(), "2026-01-01T00:01:00.000Z");
    log.warn("careful", { at: new Map([[1, 2]]), big: 5n });
    output.progress(50, "half");
    output.write("a");
    output.write(new Uint8Array([98]));
  });
  assert.equal(within({}, () => context.attempt), 1, "each world has its own");
  assert.deepEqual(fakes.logs, [{ level: "warn", message: "careful", fields: { at: "Map(1) { 1 => 2 }", big: "5" } }]);
  assert.deepEqual(fakes.progress, [[50, "half"]]);
  assert.equal(Buffer.from(fakes.output).toString(), "ab");
  fakes.advance(1000);
  assert.equal(fakes.now.toISOString(), "2026-01-01T00:00:01.000Z");
});

test("worlds at the same time do not meet", async () => {
  const count = async (fakes) => {
    for (let turn = 0; turn < 3; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      state.set("n", (state.get("n") ?? 0) + 1);
    }
    return fakes.state.n;
  };
  const worlds = [new Fakes(), new Fakes({ state: { n: 10 } })];
  assert.deepEqual(await Promise.all(worlds.map((fakes) => fakes.run(() => count(fakes)))), [3, 13]);
});

describe("a world for each test", () => {
  const fakes = new Fakes({ variables: { "f/a/b": "c" } });
  beforeEach(() => fakes.start());
  afterEach(() => fakes.stop());
  test("is there", () => assert.equal(variable("f/a/b"), "c"));
});
