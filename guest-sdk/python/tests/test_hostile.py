"""Values that were made to do harm: they end in an error that says where, soon, and in nothing else."""

import support  # noqa: F401  # isort: skip

import unittest
from typing import Any

import models

from sandmill import InvalidArguments, JsonError, call, to_json
from sandmill._json import DEPTH_MAX, check, loads
from sandmill._shapes.base import FAULTS_MAX
from sandmill.arguments import call_with_text


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def tree(levels: int, **more: Any) -> Any:
    value: dict[str, Any] = {"name": "leaf", **more}
    for _ in range(levels):
        value = {"name": "x", "children": [value]}
    return value


class HostileTest(unittest.TestCase):
    def test_texts(self) -> None:
        deep = "[" * 100_000
        for text, message in [
            ("NaN", "NaN"),
            ("[Infinity]", "Infinity"),
            ("[-Infinity]", "Infinity"),
            ("[1e400]", "/0 is a number that JSON cannot say"),
            (deep, "levels deep"),
            (deep + "]" * 100_000, "levels deep"),
            ('{"a":' * 200 + "1" + "}" * 200, "levels deep"),
            ("9" * 5000, "too many digits"),
            ("{", "is no JSON"),
            ("", "is no JSON"),
            ("{'a': 1}", "is no JSON"),
        ]:
            with self.subTest(text[:20]), self.assertRaisesRegex(JsonError, message):
                loads(text)

    def test_depth(self) -> None:
        def main(value) -> int:
            return 1

        self.assertEqual(loads("[" * DEPTH_MAX + "]" * DEPTH_MAX), nested(DEPTH_MAX))
        check(nested(DEPTH_MAX))
        self.assertEqual(len(to_json(nested(DEPTH_MAX))), 2 * DEPTH_MAX)
        for levels in (DEPTH_MAX + 1, 50_000):
            with self.assertRaisesRegex(InvalidArguments, "levels deep"):
                call(main, {"value": nested(levels)})
            with self.assertRaisesRegex(JsonError, "levels deep"):
                to_json(nested(levels))

    def test_recursive_types_to_the_depth_that_is_allowed(self) -> None:
        def main(tree: models.Tree) -> models.Tree:
            return tree

        self.assertEqual(call(main, {"tree": tree(60)}).children[0].name, "x")
        with self.assertRaisesRegex(InvalidArguments, "levels deep"):
            call(main, {"tree": tree(100)})
        with self.assertRaises(InvalidArguments) as raised:
            call(main, {"tree": tree(60, children=[7])})
        self.assertEqual(raised.exception.faults[0].pointer, "/tree" + "/children/0" * 61)

    def test_unions_that_contain_themselves(self) -> None:
        def main(value: models.Left | models.Right) -> None: ...

        value: dict[str, Any] = {"left": "x", "right": "x"}
        for _ in range(100):
            value = {"child": value}
        with self.assertRaises(InvalidArguments):
            call(main, {"value": value})

    def test_aliases_of_nothing(self) -> None:
        def main(value) -> None: ...

        class Alias:
            __name__ = "Alias"
            __value__: Any = None

            def __hash__(self) -> int:
                return id(self)

        alias = Alias()
        alias.__value__ = alias
        main.__annotations__["value"] = alias
        with self.assertRaisesRegex(InvalidArguments, "nothing but itself"):
            call(main, {"value": 1})

    def test_no_python_values(self) -> None:
        def main(a) -> None: ...

        cycle: list[Any] = []
        cycle.append(cycle)
        cases = [
            (float("nan"), "/a is a number"),
            ([float("inf")], "/a/0 is a number"),
            ({1: 2}, "/a is no JSON"),
            ({"x": (1,)}, "/a/x is no JSON but a tuple"),
            (b"", "/a is no JSON but a bytes"),
            (cycle, "levels deep"),
        ]
        for value, message in cases:
            with self.subTest(message), self.assertRaisesRegex(InvalidArguments, message):
                call(main, {"a": value})

    def test_faults_are_bounded(self) -> None:
        def main(items: list[int]) -> None: ...

        with self.assertRaises(InvalidArguments) as raised:
            call(main, {"items": ["x"] * (FAULTS_MAX * 3)})
        self.assertEqual(len(raised.exception.faults), FAULTS_MAX)

    def test_arguments_as_text(self) -> None:
        self.assertEqual(call_with_text(lambda a: a, '{"a": 1}'), 1)
        for text in ("[]", "1", "{", '{"a": NaN}', "[" * 1000):
            with self.subTest(text[:10]), self.assertRaises(InvalidArguments):
                call_with_text(lambda a: a, text)

    def test_results(self) -> None:
        cycle: dict[str, Any] = {}
        cycle["me"] = [cycle]
        with self.assertRaisesRegex(JsonError, "levels deep"):
            to_json(cycle)
        with self.assertRaisesRegex(JsonError, "^/a/1 "):
            to_json({"a": [1, 10**5000]})
        with self.assertRaisesRegex(JsonError, "^/a half|^/a has text"):
            to_json({"a": "\ud800"})
        with self.assertRaisesRegex(JsonError, "half of a surrogate"):
            to_json({"\udfff": 1})
