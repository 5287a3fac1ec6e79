"""What results become."""

import support  # noqa: F401  # isort: skip

import json
import unittest
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import models

from sandmill import Binary, JsonError, Response, to_json, to_plain
from sandmill.results import output_of


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    YES = "yes"


class Odd(Enum):
    A = float("nan")


@dataclass
class Outer:
    inner: Any
    at: datetime | None = None


Pair = namedtuple("Pair", "a b")

CASES: list[tuple[Any, Any]] = [
    (None, None),
    ([1, 1.5, "ä", True], [1, 1.5, "ä", True]),
    ((1, (2,)), [1, [2]]),
    (10**30, 10**30),
    (Outer(Outer(1), datetime(2026, 1, 31, 12, tzinfo=UTC)), {"inner": {"inner": 1, "at": None}, "at": "2026-01-31T12:00:00Z"}),
    (datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=-1))), "2026-01-31T12:00:00.000005-01:00"),
    (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00"),
    (date(2026, 1, 31), "2026-01-31"),
    (time(12, 30), "12:30:00"),
    ([models.Colour.RED, Number.ONE, Word.YES, models.Shade.DARK, Odd.A], ["red", 1, "yes", "DARK", "A"]),
    (Decimal("1.10"), "1.10"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ({"a": b"\0", "b": bytearray(b"\1"), "c": memoryview(b"\2")}, {"a": "AA==", "b": "AQ==", "c": "Ag=="}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"b", "a"}), ["a", "b"]),
    ({"a", 1, None}, ["a", 1, None]),
    (set(), []),
    ({(2, 1), (1, 2)}, [[1, 2], [2, 1]]),
    (deque([1]), [1]),
    (range(3), [0, 1, 2]),
    (Pair(1, 2), [1, 2]),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (UserDict(a={1}), {"a": [1]}),
    ({1: "a", models.Level.LOW: "b"}, None),  # Both are "1".
    ({5: "a", date(2026, 1, 31): "b", Word.YES: "c"}, {"5": "a", "2026-01-31": "b", "yes": "c"}),
]

REFUSED: list[tuple[Any, str]] = [
    (float("nan"), "^the value is a number that JSON cannot say"),
    ({"a": [0, float("inf")]}, "^/a/1 is a number"),
    ({"a": {"b/c": object()}}, "^/a/b~1c has no JSON form: it is a object"),
    (Decimal("Infinity"), "not finite"),
    ({True: 1}, "key that is a bool"),
    ({None: 1}, "key that is a NoneType"),
    ({1.5: 1}, "key that is a float"),
    ({(1, 2): 1}, "key that is a tuple"),
    ({"a": {frozenset(): 1}}, "^/a has a key"),
    ({1: "a", "1": "b"}, "^/1 is there twice"),
    ({10**5000: 1}, "too many digits"),
    ([Response()], "^/0 is a Response"),
    ({"a": Binary(b"")}, "^/a is a Binary"),
    (Outer, "has no JSON form: it is a type"),
    (Outer(iter(())), "^/inner has no JSON form"),
    (timedelta(1), "has no JSON form"),
    (SimpleNamespace(), "has no JSON form"),
    (lambda: 1, "has no JSON form"),
]


class ResultsTest(unittest.TestCase):
    def test_forms(self) -> None:
        for value, expected in CASES:
            with self.subTest(value):
                if expected is None and value is not None:
                    self.assertRaisesRegex(JsonError, "there twice", to_json, value)
                    continue
                self.assertEqual(json.loads(to_json(value)), expected)
                self.assertEqual(to_plain(value), expected)

    def test_no_form(self) -> None:
        for value, message in REFUSED:
            with self.subTest(message), self.assertRaisesRegex(JsonError, message):
                to_json(value)

    def test_text(self) -> None:
        self.assertEqual(to_json({"ä": [1, "\n"]}), '{"ä":[1,"\\n"]}')

    def test_outputs(self) -> None:
        cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("X-A", "1"), ("x-a", "2")]
        html = {"$http": {"status": 201, "headers": {"content-type": "text/html"}, "body": "<p>ä"}}
        cases: list[tuple[Any, Any]] = [
            (None, ("json", "null")),
            ("text", ("json", '"text"')),
            (b"\0", ("bytes", "application/octet-stream", b"\0")),
            (bytearray(b"\0"), ("bytes", "application/octet-stream", b"\0")),
            (Binary(b"\0", "image/png"), ("bytes", "image/png", b"\0")),
            (Response("<p>ä", 201, {"Content-Type": "text/html"}), ("json", json.dumps(html, ensure_ascii=False, separators=(",", ":")))),
            (Response(b"\xff"), ("json", '{"$http":{"status":200,"headers":{},"body_base64":"/w=="}}')),
            (Response(None, 204, cookies), ("json", '{"$http":{"status":204,"headers":{"x-a":"1, 2","set-cookie":["a=1","b=2"]},"body":""}}')),
            (Response.redirect("/x"), ("json", '{"$http":{"status":302,"headers":{"location":"/x"},"body":""}}')),
            (Response.of_json({1}), ("json", '{"$http":{"status":200,"headers":{"content-type":"application/json"},"body":"[1]"}}')),
        ]
        for result, expected in cases:
            with self.subTest(result):
                self.assertEqual(output_of(result), expected)
