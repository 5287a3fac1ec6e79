"""What JSON arguments become, and what is said of those that do not fit."""

import support  # noqa: F401  # isort: skip

import asyncio
import unittest
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import models

from sandmill import HttpEvent, InvalidArguments, JsonError, call, call_async, preprocess

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE_HOUR = timezone(timedelta(hours=1))

# annotation, JSON, value
TAKEN: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (int, 3.0, 3),
    (int, 10**400, 10**400),
    (float, 3, 3.0),
    (bool, False, False),
    (None, None, None),
    (Any, {"a": [1, None]}, {"a": [1, None]}),
    (bytes, "AAH/", b"\x00\x01\xff"),
    (datetime, "2026-01-31T12:00:00Z", NOON),
    (datetime, "2026-01-31t13:00:00.000+01:00", NOON),
    (datetime, "2026-01-31T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
    (date, "2026-01-31", date(2026, 1, 31)),
    (time, "12:00:00+01:00", time(12, tzinfo=ONE_HOUR)),
    (UUID, "00000000-0000-7000-8000-0000000000AB", UUID(int=0x7000_8000_0000000000AB)),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, 0.1, Decimal("0.1")),
    (Decimal, 12345678901234567890, Decimal(12345678901234567890)),
    (list[int], [1, 2.0], [1, 2]),
    (list[date | None], ["2026-01-31", None], [date(2026, 1, 31), None]),
    (set[int], [2, 1], {1, 2}),
    (frozenset[str], ["a"], frozenset("a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[int, date], [1, "2026-01-31"], (1, date(2026, 1, 31))),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (dict[int, str], {"-1": "a"}, {-1: "a"}),
    (dict[date, int], {"2026-01-31": 1}, {date(2026, 1, 31): 1}),
    (dict[models.Colour, int], {"red": 1}, {models.Colour.RED: 1}),
    (Literal["a", 1, True], True, True),
    (Literal["a", 1], 1.0, 1),
    (models.Colour, "blue", models.Colour.BLUE),
    (models.Level, 2, models.Level.HIGH),
    (models.Shade, "DARK", models.Shade.DARK),
    (float | int, 3, 3),
    (int | float, 3.0, 3.0),
    (int | str, 3.0, 3),
    (bool | int, True, True),
    (str | date, "2026-01-31", date(2026, 1, 31)),
    (str | date, "soon", "soon"),
    (list[str] | str, "a", "a"),
    (models.Tree, {"name": "a", "children": [{"name": "b"}], "x": 1}, models.Tree("a", [models.Tree("b")])),
    (models.Circle | models.Square, {"kind": "square", "side": 2}, models.Square("square", 2.0)),
    (models.Page[date], {"items": ["2026-01-31"]}, models.Page([date(2026, 1, 31)])),
    (models.Options, {"loud": True, "x": 1}, {"loud": True}),
    (models.Draft, {}, {}),
    (list["models.Tree"], [{"name": "a"}], [models.Tree("a")]),
]

# annotation, JSON, faults below /value
REFUSED: list[tuple[Any, Any, list[tuple[str, str]]]] = [
    (int, True, [("", "is not an integer")]),
    (int, 3.5, [("", "is not an integer")]),
    (int, "3", [("", "is not an integer")]),
    (float, True, [("", "is not a number")]),
    (float, 10**400, [("", "is larger than a number of 64 bits can be")]),
    (str, 3, [("", "is not a string")]),
    (bool, 1, [("", "is not true or false")]),
    (bytes, "AAH", [("", "is not base64")]),
    (bytes, "AA\n==", [("", "is not base64")]),
    (bytes, "ä", [("", "is not base64")]),
    (datetime, "2026-01-31", [("", "is not a date and time as RFC 3339 has it")]),
    (datetime, "2026-01-31T12:00:00", [("", "is not a date and time as RFC 3339 has it")]),
    (datetime, "2026-02-31T12:00:00Z", [("", "is not a date and time as RFC 3339 has it")]),
    (datetime, "٢026-01-31T12:00:00Z", [("", "is not a date and time as RFC 3339 has it")]),
    (date, "20260131", [("", "is not a date, YYYY-MM-DD")]),
    (UUID, "{00000000-0000-7000-8000-0000000000ab}", [("", "is not a UUID")]),
    (Decimal, "NaN", [("", "is not a decimal number")]),
    (Decimal, "1e99999", [("", "is not a decimal number")]),
    (Decimal, True, [("", "is not a decimal number")]),
    (list[int], [1, "a", None], [("/1", "is not an integer"), ("/2", "is not an integer")]),
    (list[int], {"0": 1}, [("", "is not an array")]),
    (set[int], [1, 1.0], [("", "has an element twice")]),
    (set[list[int]], [[1]], [("", "has elements that cannot be in a set")]),
    (tuple[int, str], [1], [("", "is not an array of 2")]),
    (dict[str, int], {"a/b": "x", "~": 1.5}, [("/a~1b", "is not an integer"), ("/~0", "is not an integer")]),
    (dict[int, int], {"1_0": 1, "01": 1, "1": 2}, [("/1_0", "is not an integer"), ("/1", "is there twice: another name means the same key")]),
    (Literal["a", 1], True, [("", "is not one of 'a', 1")]),
    (Literal["a", 1], [], [("", "is not one of 'a', 1")]),
    (models.Colour, "RED", [("", "is not one of 'red', 'blue'")]),
    (models.Level, True, [("", "is not one of 1, 2")]),
    (int | None, "a", [("", "is not an integer or null")]),
    (models.Tree | None, {"children": [1]}, [("/name", "is missing"), ("/children/0", "is not an object")]),
    (models.Circle | models.Square, {"kind": "square"}, [("/side", "is missing")]),
    (models.Circle | models.Square, {"kind": "cube"}, [("", "is not Circle or Square")]),
    (date | UUID, "x", [("", "is not a date, YYYY-MM-DD or a UUID")]),
    (models.Period, {"first": "2026-02-01", "last": "2026-01-01"}, [("", "is not accepted: it ends before it begins")]),
    (models.Options, {"times": "x"}, [("/loud", "is missing"), ("/times", "is not an integer")]),
    (models.Page[int], {"items": [], "following": {"items": ["a"]}}, [("/following/items/0", "is not an integer")]),
]


def given(annotation: Any, value: Any) -> Any:
    def main(value):
        return value

    main.__annotations__["value"] = annotation
    return call(main, {"value": value})


class ArgumentsTest(unittest.TestCase):
    def test_taken(self) -> None:
        for annotation, value, expected in TAKEN:
            with self.subTest(annotation=annotation, value=str(value)[:50]):
                taken = given(annotation, value)
                self.assertEqual(taken, expected)
                self.assertIs(type(taken), type(expected))

    def test_refused(self) -> None:
        for annotation, value, expected in REFUSED:
            with self.subTest(annotation=annotation, value=str(value)[:50]):
                with self.assertRaises(InvalidArguments) as raised:
                    given(annotation, value)
                self.assertEqual([(fault.pointer.removeprefix("/value"), fault.message) for fault in raised.exception.faults], expected)

    def test_all_faults_of_all_arguments(self) -> None:
        def main(a: int, b: str, c: float = 1) -> None: ...

        with self.assertRaises(InvalidArguments) as raised:
            call(main, {"a": "x", "c": "y", "d": object()})
        self.assertEqual(raised.exception.faults, [("/a", "is not an integer"), ("/b", "is missing"), ("/c", "is not a number")])
        self.assertEqual(raised.exception.details["faults"][1], {"pointer": "/b", "message": "is missing"})
        self.assertEqual(str(raised.exception), "/a is not an integer; /b is missing; /c is not a number")

    def test_kinds_of_parameters(self) -> None:
        def main(a, b=2, /, c=3, *, d: date, **rest: int):
            return a, b, c, d, rest

        self.assertEqual(call(main, {"a": 1, "d": "2026-01-31", "e": 5.0}), (1, 2, 3, date(2026, 1, 31), {"e": 5}))
        with self.assertRaisesRegex(InvalidArguments, "/e is not an integer"):
            call(main, {"a": 1, "d": "2026-01-31", "e": "x"})

    def test_a_type_by_the_default(self) -> None:
        def main(count=3, name="x", options=None):
            return [count, name, options]

        self.assertEqual(call(main, {"count": 1.5, "options": {"a": 1}}), [1.5, "x", {"a": 1}])
        self.assertIs(type(call(main, {"count": 1})[0]), int)
        with self.assertRaisesRegex(InvalidArguments, "/count is not a number; /name is not a string"):
            call(main, {"count": "1", "name": 1})

    def test_unknown_arguments_are_ignored(self) -> None:
        self.assertEqual(call(lambda a: a, {"a": 1, "b": float("nan")}), 1)

    def test_async(self) -> None:
        async def main(day: date) -> date:
            await asyncio.sleep(0)
            return day

        async def inside() -> date:
            with self.assertRaisesRegex(RuntimeError, "call_async"):
                call(main, {"day": "2026-01-31"})
            return await call_async(main, {"day": "2026-01-31"})

        self.assertEqual(call(main, {"day": "2026-01-31"}), date(2026, 1, 31))
        self.assertEqual(asyncio.run(inside()), date(2026, 1, 31))
        self.assertEqual(asyncio.run(call_async(lambda a: a, {"a": 1})), 1)

    def test_preprocessor(self) -> None:
        event = {"kind": "webhook", "body": {"day": "2026-01-31"}, "raw": "", "query": {}, "headers": {}, "method": "POST"}
        whole = {**event, "path": "/x", "params": {}, "route": None, "trigger": None}

        def typed(event: HttpEvent):
            return {"day": date.fromisoformat(event["body"]["day"])}

        self.assertEqual(preprocess(typed, whole), {"day": "2026-01-31"})
        self.assertEqual(preprocess(lambda anything: anything, {"a": 1}), {"a": 1})
        self.assertIsNone(preprocess(lambda event: None, {}))
        with self.assertRaisesRegex(InvalidArguments, "/event/path is missing"):
            preprocess(typed, event)
        for wrong in (lambda event: [1], lambda: None):
            with self.assertRaises(TypeError):
                preprocess(wrong, {})
        with self.assertRaises(JsonError):
            preprocess(lambda event: {"a": {1.5: 1}}, {})
