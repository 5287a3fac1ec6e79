"""Every example of the README is run, and has its chapters in the order of the other languages'."""

import support  # isort: skip

import json
import re
import sys
import tomllib
import unittest
from collections.abc import Callable
from datetime import date
from types import ModuleType
from typing import Any
from unittest import mock

from sandmill import ChildError, Error, call, guest, http, preprocess, schema_of, to_json
from sandmill.testing import FakeResource, Fakes, sqlite

README = (support.ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def sources() -> dict[str, str]:
    """By the name in their first line."""
    found = {}
    for language, text in BLOCKS:
        if language == "python":
            found[text.partition("\n")[0].removeprefix("# ").removesuffix(".py")] = text
    return found


def load(name: str) -> ModuleType:
    module = ModuleType(name)
    with mock.patch.dict(sys.modules, {name: module}):
        exec(compile(sources()[name], f"{name}.py", "exec"), module.__dict__)  # The README's own text.
    return module


class ReadmeTest(unittest.TestCase):
    def greeting(self, script: Any) -> None:
        with Fakes() as fakes:
            self.assertEqual(call(script.main, {"name": "Ann", "count": 2}), ["Hello, Ann!"] * 2)
        self.assertEqual(fakes.logs[0].fields, {"name": "Ann", "visits": 1})
        self.assertEqual(schema_of(script.main)["properties"]["name"]["description"], "Whom to greet.")

    def shop(self, script: Any) -> None:
        items = [{"price": "1.50", "count": 2}, {"price": 4, "size": "large"}]
        result = call(script.main, {"items": items, "day": "2026-01-31"})
        self.assertEqual(result["day"], date(2026, 1, 31))
        self.assertEqual(json.loads(to_json(result)), {"day": "2026-01-31", "total": "7.00", "sizes": ["large", "small"]})

    def teapot(self, script: Any) -> None:
        self.assertIn('"status":418', guest.run(script, '{"kind": "tea"}')[1])
        self.assertIn('"x-kind":"milk"', guest.run(script, '{"kind": "milk"}')[1])

    def hook(self, script: Any) -> None:
        event = {"kind": "http", "body": {"customer": "c7"}, "raw": "", "query": {}, "headers": {}, "method": "POST", "path": "/", "params": {}}
        whole = {**event, "route": "r", "trigger": None}
        arguments = preprocess(script.preprocessor, whole)
        self.assertEqual(call(script.main, arguments or {}), "C7")
        self.assertIsNone(preprocess(script.preprocessor, {**whole, "headers": {"x-event": "ping"}}))
        with self.assertRaises(Error) as raised:
            preprocess(script.preprocessor, {**whole, "body": {}})
        self.assertEqual(guest.failure_of(raised.exception).details, '{"status":400}')

    def items(self, script: Any) -> None:
        with Fakes(secrets={"f/demo/token": "t"}, http=lambda request: [request.url[-1], request.headers["authorization"]]):
            self.assertEqual(call(script.main, {"ids": ["1", "2"]}), [["1", "Bearer t"], ["2", "Bearer t"]])

    def report(self, script: Any) -> None:
        """Run by the test that the README has for it."""

    def counter(self, script: Any) -> None:
        with Fakes() as fakes:
            self.assertEqual([script.main(), script.main(4)], [1, 5])
        self.assertEqual(fakes.state, {"count": 5})

    def children(self, script: Any) -> None:
        def count(text: str) -> int:
            if not text:
                raise ValueError("no words")
            return len(text.split())

        with Fakes(runs={"f/demo/count": count}) as fakes:
            self.assertEqual(script.main(["a b", "c"]), 3)
            self.assertEqual(fakes.progress, [(50, "attempt 1: all are started")])
        with Fakes(runs={"f/demo/count": count}) as fakes:
            self.assertRaises(ChildError, script.main, [""])
            self.assertIn(b"failed: no words", fakes.output)

    def migrated(self, script: Any) -> None:
        with Fakes(runs={"f/demo/count": 2}):
            self.assertEqual(script.main("a b"), {"before": None, "words": 2})

    def orders(self, script: Any) -> None:
        with Fakes(brokers={"f/demo/broker": lambda message: {"sequence": len(message.text)}}) as fakes:
            self.assertEqual(call(script.main, {"order": {"id": "7"}}), 10)
        (message,) = fakes.messages
        self.assertEqual((message.to, message.text, message.headers), ("orders.new", '{"id":"7"}', {"x-shop": ["eu"]}))
        self.assertEqual((message.id, message.kept), ("7", True))

    def limited(self, script: Any) -> None:
        self.assertEqual(script.main(100), 100)
        self.assertRaisesRegex(Error, "101 calls", script.main, 101)

    def test_report(self, tests: Any = None) -> None:
        with mock.patch.dict(sys.modules, {"report": load("report")}):
            suite = unittest.defaultTestLoader.loadTestsFromModule(tests or load("test_report"))
            result = unittest.TestResult()
            suite.run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (3, [], []))

    def conftest(self, module: Any) -> None:
        (fakes,) = module.fakes()
        self.assertIsInstance(fakes, Fakes)

    def test_examples(self) -> None:
        fixture: Callable[[Any], Any] = lambda function: function  # noqa: E731
        for name in sources():
            # pytest is not needed for anything but the look of it.
            fake = {"pytest": mock.Mock(fixture=fixture), "report": load("report")}
            with self.subTest(name), mock.patch.dict(sys.modules, fake):
                getattr(self, name)(load(name))

    def test_other_examples(self) -> None:
        for language, text in BLOCKS:
            self.assertIn(language, ("python", "toml", "sh"))
            if language == "toml":
                self.assertIn("grants", tomllib.loads(text))

    def test_chapters(self) -> None:
        theirs = re.findall(r"^## (.*)$", (support.ROOT.parent / "typescript" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
        self.assertEqual(re.findall(r"^## (.*)$", README, re.MULTILINE), theirs)

    def test_what_fakes_need(self) -> None:
        fakes = {"http": {"GET https://a.example/": 1}, "sql": {"d": sqlite()}, "resources": {"r": FakeResource()}}
        with Fakes(**fakes):
            self.assertEqual(http.get("https://a.example/").json(), 1)
