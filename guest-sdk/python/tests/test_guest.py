"""What a runtime calls, and the names of Windmill's client."""

import support  # noqa: F401  # isort: skip

import json
import sys
import unittest
from types import ModuleType
from typing import Any
from unittest import mock

import wmill
from sandmill import Error, guest
from sandmill.testing import PENDING, Fakes


def script(source: str) -> ModuleType:
    module = ModuleType("script")
    with mock.patch.dict(sys.modules, {"script": module}):
        exec(compile(source, "script.py", "exec"), module.__dict__)  # The tests' own text.
    return module


class GuestTest(unittest.TestCase):
    def test_exports(self) -> None:
        module = script("def main(n: int = 2): return {'n': n}\ndef preprocessor(event): return event.get('args')")
        self.assertEqual(json.loads(guest.describe(module))["properties"], {"n": {"type": "integer", "default": 2}})
        self.assertEqual(guest.run(module, '{"n": 5}'), ("json", '{"n":5}'))
        self.assertEqual(guest.preprocess_event(module, '{"args": {"n": 1}}'), '{"n":1}')
        self.assertIsNone(guest.preprocess_event(module, "{}"))
        with self.assertRaisesRegex(TypeError, "def main"):
            guest.run(ModuleType("empty"), "{}")

    def test_types_of_a_script(self) -> None:
        module = script(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n"
            "@dataclass\nclass A:\n  b: B\n@dataclass\nclass B:\n  a: A | None = None\n"
            "def main(a: A): return a"
        )
        self.assertEqual(guest.run(module, '{"a": {"b": {"a": {"b": {}}}}}'), ("json", '{"b":{"a":{"b":{"a":null}}}}'))

    def test_failures(self) -> None:
        module = script("def inner():\n  raise KeyError('x')\ndef main():\n  inner()")
        try:
            guest.run(module, "{}")
        except KeyError as error:
            failure = guest.failure_of(error)
        self.assertEqual(failure, ("KeyError", "'x'", "inner (script.py:2)\nmain (script.py:4)", None))

    def test_details_of_failures(self) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        odd = ValueError("\ud800")
        odd.code, odd.thing, odd._own, odd.text = 5, object(), 1, "\ud800"  # type: ignore[attr-defined]
        cases: list[tuple[BaseException, tuple[Any, ...]]] = [
            (Error("RateLimited", "slow", {"after_ms": 5}), ("RateLimited", "slow", None, '{"after_ms":5}')),
            (Error("Odd", "no details", object()), ("Odd", "no details", None, None)),
            (odd, ("ValueError", "?", None, '{"code":5}')),
            (Mute(), ("Mute", "(its text cannot be had: RuntimeError)", None, None)),
        ]
        for error, expected in cases:
            self.assertEqual(guest.failure_of(error), expected)


class WmillTest(unittest.TestCase):
    def test_names(self) -> None:
        never = {"f/never": PENDING, "f/none": None}
        with Fakes(variables={"v": "x"}, resources={"r": {"a": 1}, "gone": None}, runs={"f/add": lambda a, b=1: a + b, **never}) as fakes:
            self.assertEqual((wmill.get_variable("v"), wmill.get_resource("r")), ("x", {"a": 1}))
            self.assertIsNone(wmill.get_resource("gone", none_if_undefined=True))
            self.assertIsNone(wmill.get_state())
            wmill.set_state({"n": 1})
            self.assertEqual(wmill.get_state(), {"n": 1})
            self.assertEqual(wmill.run_script("f/add", args={"a": 1}), 2)
            job = wmill.run_script_async("f/add", args={"a": 1, "b": 2}, scheduled_in_secs=1.5)
            self.assertEqual((wmill.wait_job(job), wmill.get_result(job), wmill.get_job_status(job)), (3, 3, "COMPLETED"))
            self.assertEqual(fakes.runs[1].delay_ms, 1500)
            self.assertEqual(wmill.run_script_by_path("f/add", {"a": 2}), 3)
            waiting = wmill.run_script_by_path_async("f/never")
            self.assertEqual((wmill.get_job_status(waiting), wmill.cancel_job(waiting)), ("RUNNING", waiting))
            with self.assertRaisesRegex(ValueError, "no result"):
                wmill.get_result(wmill.run_script_async("f/none"))
            with self.assertRaisesRegex(ValueError, "path@number"):
                wmill.run_script(hash_="abc")
            wmill.set_progress(5)
            self.assertEqual((fakes.progress, wmill.get_workspace()), ([(5, "")], "test"))
