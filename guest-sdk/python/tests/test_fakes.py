"""The fake world: state, objects, databases and runs as the documentation has them."""

import support  # noqa: F401  # isort: skip

import unittest
from datetime import UTC, datetime
from typing import Any

import sandmill
from sandmill import ChildError, Denied, blob, context, log, output, publish, resource, runs, secret, sql, state, variable
from sandmill.testing import PENDING, FakeResource, Fakes, SentMessage, StartedRun, sqlite


class FakesTest(unittest.TestCase):
    def fakes(self, **given: Any) -> Fakes:
        fakes = Fakes(**given).start()
        self.addCleanup(fakes.stop)
        return fakes

    def refused(self, code: str, call: Any, kind: type[sandmill.HostError] = sandmill.HostError, text: str = "") -> Any:
        with self.assertRaisesRegex(kind, text) as raised:
            call()
        self.assertEqual(raised.exception.code, code)
        return raised.exception


class StateTest(FakesTest):
    def test_values(self) -> None:
        fakes = self.fakes(state={"a": 1})
        state.set("b", {"day": datetime(2026, 1, 31, tzinfo=UTC)})
        state.set("null", None)
        self.assertEqual(fakes.state, {"a": 1, "b": {"day": "2026-01-31T00:00:00Z"}, "null": None})
        self.assertEqual((state.get("null", 1), state.get("none", 1), state.get("none")), (None, 1, None))
        state.delete("a")
        state.delete("a")
        self.assertEqual(state.list(), ["b", "null"])

    def test_compare_and_swap(self) -> None:
        cases: list[tuple[str, Any, bool]] = [
            ("1", 1.0, True),
            ("10e-1", 1, True),
            ("1", True, False),
            ("12345678901234567890", 12345678901234567891, False),
            ('{"a":1,"b":[2]}', {"b": [2.0], "a": 1}, True),
            ('"\\u00e4"', "ä", True),
            ("null", None, True),
            ("null", state.ABSENT, False),
            ("[1,2]", [2, 1], False),
            ("1e999999999999999999999", 1, False),
        ]
        fakes = self.fakes()
        for text, expected, wrote in cases:
            with self.subTest(text):
                fakes._world._state["k"] = text
                self.assertEqual(state.compare_and_swap("k", expected, "new"), wrote)
                self.assertEqual(fakes._world._state["k"], '"new"' if wrote else text)
        state.delete("k")
        self.assertTrue(state.compare_and_swap("k", state.ABSENT, 1))
        self.assertTrue(state.compare_and_swap("k", 1, state.ABSENT))
        self.assertEqual(fakes.state, {})

    def test_limits(self) -> None:
        self.fakes(state={f"{n:05}": 0 for n in range(10_000)})
        self.assertEqual(len(state.list(limit=5000)), 1000)
        self.assertEqual(state.list("0999", after="09997"), ["09998", "09999"])
        self.refused("too-large", lambda: state.set("one more", 1), sandmill.StateError, "10000 keys")
        state.set("00000", "x" * (1024 * 1024 - 2))
        self.refused("too-large", lambda: state.set("00000", "x" * (1024 * 1024 - 1)))
        for key in ("", "x" * 513, "a\nb", "a\x7f", "ä" * 257):
            self.refused("invalid-key", lambda key=key: state.get(key))
        self.refused("invalid-key", lambda: state.list("x" * 513))
        with self.assertRaises(ValueError):
            state.list(limit=-1)


class BlobTest(FakesTest):
    def test_objects(self) -> None:
        fakes = self.fakes(blob={"a/b": "text"}, clock=datetime(2026, 1, 31, tzinfo=UTC))
        fakes.advance(1500)
        info = blob.put("a/c", (chunk for chunk in ("ä", b"\0" * 3_000_000)), content_type="x/y")
        self.assertEqual(info, ("a/c", 3_000_002, datetime(2026, 1, 31, 0, 0, 1, 500_000, tzinfo=UTC), "x/y"))
        self.assertEqual([(info.key, info.size, info.content_type) for info in blob.list("a/")], [("a/b", 4, None), ("a/c", 3_000_002, None)])
        self.assertEqual([info.key for info in blob.list(after="a/b")], ["a/c"])
        self.assertEqual([info.key for info in blob.list(limit=1)], ["a/b"])
        self.assertEqual(blob.stat("a/c"), info)
        found = blob.get("a/c")
        assert found is not None
        self.assertEqual([len(chunk) for chunk in found.chunks()], [1024 * 1024, 1024 * 1024, 3_000_002 - 2 * 1024 * 1024])
        with self.assertRaisesRegex(ValueError, "already been read"):
            found.text()
        blob.delete("a/c")
        self.assertIsNone(blob.get("a/c"))
        self.assertIsNone(blob.stat("a/c"))
        blob.put("j", '{"a": 1}')
        self.assertEqual(blob.get("j").json(), {"a": 1})  # type: ignore[union-attr]
        self.assertEqual(fakes.objects["j"].data, b'{"a": 1}')

    def test_many(self) -> None:
        self.fakes(blob={f"{n:04}": "" for n in range(2500)})
        self.assertEqual(len([*blob.list()]), 2500)
        self.assertEqual(len([*blob.list(limit=1500)]), 1500)

    def test_nothing_of_what_fails(self) -> None:
        fakes = self.fakes(blob={})

        def broken() -> Any:
            yield b"x"
            raise RuntimeError

        with self.assertRaises(RuntimeError):
            blob.put("a", broken())
        self.assertEqual(fakes.objects, {})

    def test_limits(self) -> None:
        self.fakes(blob={"a": ""})
        for key in ("", "/a", "a/", "a//b", "../a", "a/.", "a\\b", "a\nb", "x" * 256, "/".join(["x" * 200] * 6)):
            self.refused("invalid", lambda key=key: blob.put(key, b""), sandmill.BlobError)
        for _ in range(20):
            blob.get("a").chunks()  # type: ignore[union-attr]
        held = [blob.get("a") for _ in range(16)]
        self.refused("too-large", lambda: blob.get("a"))
        for found in held:
            assert found is not None
            found.close()
        with blob.get("a") as found:  # type: ignore[union-attr]
            self.assertEqual(found.bytes(), b"")


class SqlTest(FakesTest):
    def test_sqlite(self) -> None:
        self.fakes(sql={"db": sqlite("CREATE TABLE t (a, b)")})
        db = sql("db")
        self.assertEqual(db.execute("INSERT INTO t VALUES ($1::numeric(10, 2), $2::text[]), ('::x', $1)", [2**53, b"\0"]), 2)
        rows = db.query("SELECT a, b, '$1::int' AS c -- $2::int\nFROM t ORDER BY b")
        self.assertEqual(rows, [{"a": "::x", "b": str(2**53), "c": "$1::int"}, {"a": str(2**53), "b": "AA==", "c": "$1::int"}])
        self.assertEqual([column.name for column in rows.columns], ["a", "b", "c"])
        self.assertEqual(db.query("SELECT x'00ff' AS a, 1.5 AS b, 9e999 AS c, NULL AS d")[0], {"a": "AP8=", "b": 1.5, "c": "Infinity", "d": None})
        self.assertEqual(db.query("SELECT ? AS a, ? AS b", [{"x": 1}, float("nan")]), [{"a": '{"x":1}', "b": "nan"}])

    def test_transactions(self) -> None:
        self.fakes(sql={"db": sqlite("CREATE TABLE t (a UNIQUE)")})
        db = sql(resource("db"))
        with db.transaction() as tx:
            tx.execute("INSERT INTO t VALUES (1)")
            self.refused("unavailable", lambda: db.transaction().__enter__())
        with self.assertRaises(ZeroDivisionError), db.transaction() as tx:
            tx.execute("INSERT INTO t VALUES (2)")
            _ = 1 / 0
        self.assertEqual(db.query("SELECT a FROM t"), [{"a": 1}])
        self.refused("invalid", lambda: tx.query("SELECT 1 AS a"), text="ended")
        error = self.refused("database", lambda: db.execute("INSERT INTO t VALUES (1)"), sandmill.SqlError)
        self.assertEqual(error.details["code"], "2067")

    def test_refusals(self) -> None:
        self.fakes(sql={"db": sqlite()}, resources={"other": FakeResource("postgresql", {"host": "h"})})
        db = sql("db")
        for statement in ("BEGIN", " commit", "SELECT 1 AS a, 2 AS a", "SELECT ?"):
            self.refused("invalid", lambda statement=statement: db.query(statement))
        self.refused("database", lambda: db.query("NO SQL"))
        self.refused("denied", lambda: sql("other").query("SELECT 1"), sandmill.SqlError, "Fakes")
        self.refused("denied", lambda: sql("nowhere"), sandmill.ResourceError, "Fakes")
        many = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n LIMIT 100001) SELECT a FROM n"
        self.refused("too-large", lambda: db.query(many))
        for wrong in ("text", b"", {1}, 5):
            with self.assertRaises(TypeError):
                db.query("SELECT 1", wrong)  # type: ignore[arg-type]

    def test_functions(self) -> None:
        asked = []

        def database(statement: str, parameters: list[Any]) -> Any:
            asked.append((statement, parameters))
            return [{"a": datetime(2026, 1, 31, tzinfo=UTC)}] if statement.startswith("SELECT") else 3

        self.fakes(sql={"db": database})
        self.assertEqual(sql("db").query("SELECT", [1]), [{"a": "2026-01-31T00:00:00Z"}])
        with sql("db").transaction() as tx:
            self.assertEqual(tx.execute("UPDATE", [None]), 3)
        self.assertEqual(asked, [("SELECT", [1]), ("UPDATE", [None])])


class BrokersTest(FakesTest):
    def test_messages(self) -> None:
        said = {"sequence": 1}
        brokers: dict[str, Any] = {"kept": lambda message: said if message.kept else None}
        fakes = self.fakes(brokers=brokers, sql={"db": sqlite()})
        self.assertEqual(publish("kept", "orders", {"a": 1}, headers={"a": ["1", "2"]}, id="7", kept=True), said)
        self.assertEqual(publish(resource("kept"), "orders", memoryview(b"\xff")), {})
        first, second = fakes.messages
        self.assertEqual(first, SentMessage("kept", "orders", b'{"a":1}', {"a": ["1", "2"]}, "7", True))
        self.assertEqual((second.payload, second.text, second.id, second.kept), (b"\xff", "\ufffd", None, False))
        self.assertEqual((resource("kept").type, resource("db").type), ("nats", "sqlite"))

    def test_refusals(self) -> None:
        def gone(message: SentMessage) -> None:
            raise Denied("denied", f"not to {message.to}")

        self.fakes(brokers={"kept": gone}, resources={"other": FakeResource("nats")})
        self.refused("denied", lambda: publish("kept", "orders", ""), Denied, "not to orders")
        self.refused("denied", lambda: publish("other", "orders", ""), sandmill.PublishError, "Fakes")
        self.refused("denied", lambda: publish("nowhere", "orders", ""), sandmill.ResourceError, "Fakes")
        self.refused("too-large", lambda: publish("kept", "orders", bytes(8 * 1024 * 1024 + 1)), sandmill.PublishError)
        with self.assertRaises(sandmill.JsonError):
            publish("kept", "orders", object())


class RunsTest(FakesTest):
    def test_children(self) -> None:
        def count(text: str) -> int:
            if not text:
                raise sandmill.Error("Empty", "no words", {"text": text})
            return len(text.split())

        fakes = self.fakes(
            runs={"f/count": count, "f/image": sandmill.Binary(b"\1", "image/png"), "f/five": 5, "f/never": PENDING, "f/bad": ValueError("x")}
        )
        self.assertEqual(runs.run("f/count", {"text": "a b"}), 2)
        self.assertEqual(runs.run("f/count@3", {"text": "a b c"}), 3)
        self.assertEqual(runs.run("f/image"), sandmill.Binary(b"\1", "image/png"))
        failed = runs.start("f/count", {"text": ""}, key="k", priority=5)
        self.assertEqual(runs.start("f/count", {"text": ""}, key="k"), failed)
        result = runs.result(failed)
        assert result is not None
        assert result.error is not None
        self.assertEqual((result.ok, result.error.name, result.error.outcome, result.error.details), (False, "Empty", "error", {"text": ""}))
        with self.assertRaisesRegex(ChildError, "no words") as raised:
            runs.wait([runs.start("f/five"), failed])
        self.assertEqual(raised.exception.run_id, failed)
        self.assertEqual(fakes.runs[3], StartedRun(failed, "f/count", {"text": ""}, None, 5, None, "k"))
        with self.assertRaisesRegex(ChildError, "^x$"):
            runs.run("f/bad")

    def test_those_that_do_not_end(self) -> None:
        self.fakes(runs={"f/never": PENDING, "f/five": 5})
        five, never = runs.start("f/five"), runs.start("f/never")
        self.assertIsNone(runs.result(never))
        self.assertEqual(runs.any([never, five]), [five])
        self.refused("timeout", lambda: runs.wait(never, timeout_ms=5))
        self.refused("timeout", lambda: runs.wait([five, never], timeout_ms=5), sandmill.RunsError, never)
        self.assertEqual((runs.cancel(never), runs.cancel(never), runs.cancel(five)), (True, False, False))
        with self.assertRaises(ChildError) as raised:
            runs.wait(never)
        self.assertEqual(raised.exception.outcome, "cancelled")

    def test_refusals(self) -> None:
        self.fakes(runs={"f/a": lambda n: n, "f/typed": lambda: 1})
        self.refused("denied", lambda: runs.start("f/other"), Denied, "Fakes")
        error = self.refused("invalid-arguments", lambda: runs.start("f/a"), sandmill.RunsError)
        self.assertEqual(error.details, {"faults": [{"pointer": "/n", "message": "is missing"}]})
        self.refused("not-found", lambda: runs.wait("nobody"))
        self.refused("invalid", lambda: runs.start("f/typed", priority=2000))
        self.refused("invalid", lambda: runs.start("f/typed", key=""))
        self.refused("invalid", lambda: runs.wait([]))
        with self.assertRaises(ValueError):
            runs.start("f/typed", delay_ms=-1)


class WorldTest(FakesTest):
    def test_variables_and_resources(self) -> None:
        shop = FakeResource("shop", {"name": "Rose"}, secrets={"/token": "t"})
        self.fakes(variables={"v": "x", "gone": None}, secrets={"s": "y"}, resources={"shop": shop, "plain": {"a": 1}, "gone": None})
        self.assertEqual(variable("v"), "x")
        self.assertRegex(secret("s"), r"^\{\{sandmill-secret:[0-9a-f]{32}\}\}$")
        self.assertEqual((resource("shop").type, resource("shop").fields, resource("plain").fields), ("shop", {"name": "Rose"}, {"a": 1}))
        self.assertNotEqual(resource("shop").placeholder("/token"), secret("s"))
        for code, call in [
            ("not-found", lambda: variable("gone")),
            ("not-found", lambda: resource("gone")),
            ("denied", lambda: variable("other")),
            ("denied", lambda: variable("s")),
            ("denied", lambda: secret("other")),
            ("invalid", lambda: secret("v")),
            ("denied", lambda: resource("other")),
            ("invalid", lambda: resource("shop").placeholder("/name")),
        ]:
            self.refused(code, call)
        self.fakes(secrets={"s": "y"}, readable_secrets=True)
        self.assertEqual(variable("s"), "y")

    def test_context_log_and_output(self) -> None:
        clock = datetime(2026, 1, 31, tzinfo=UTC)
        fakes = self.fakes(context={"trigger": ("webhook", None), "attempt": 2}, payload=b"{}", clock=clock)
        trigger = context.trigger
        assert trigger is not None
        self.assertEqual((trigger.kind, trigger.path, context.attempt, context.payload()), ("webhook", None, 2, b"{}"))
        self.assertEqual((context.deadline - clock).total_seconds(), 60)
        for write in (log.trace, log.debug, log.info, log.warn, log.error):
            write("m", {"at": clock})
        self.assertEqual([line.level for line in fakes.logs], ["trace", "debug", "info", "warn", "error"])
        self.assertEqual(fakes.logs[0].fields, {"at": "2026-01-31T00:00:00Z"})
        output.progress(10, "begun")
        output.write("a")
        output.write(memoryview(b"b"))
        self.assertEqual((fakes.progress, fakes.output), ([(10, "begun")], b"ab"))
        with self.assertRaises(AttributeError):
            _ = context.nothing  # type: ignore[attr-defined]
        with self.assertRaises(TypeError):
            Fakes(context={"nothing": 1})

    def test_worlds_within_each_other(self) -> None:
        with Fakes(state={"a": 1}):
            with Fakes(state={"a": 2}):
                self.assertEqual(state.get("a"), 2)
            self.assertEqual(state.get("a"), 1)
