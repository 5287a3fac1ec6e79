"""What types of parameters look like as JSON Schema."""

import support  # noqa: F401  # isort: skip

import sys
import unittest
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, Literal, Optional, TypedDict, Union
from unittest import mock
from uuid import UUID

import models

from sandmill import UnsupportedType, call, schema_of
from sandmill._shapes import docstrings

STRING = {"type": "string"}
INTEGER = {"type": "integer"}

CASES: list[tuple[Any, dict[str, Any]]] = [
    (str, STRING),
    (int, INTEGER),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (object, {}),
    (bytes, {"type": "string", "contentEncoding": "base64"}),
    (datetime, {"type": "string", "format": "date-time"}),
    (date, {"type": "string", "format": "date"}),
    (time, {"type": "string", "format": "time"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Decimal, {"anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,4})?$"}, {"type": "number"}]}),
    (Optional[str], {"type": ["string", "null"]}),  # noqa: UP045
    (Union[int, str, None], {"type": ["integer", "string", "null"]}),  # noqa: UP007
    (int | date, {"anyOf": [INTEGER, {"type": "string", "format": "date"}]}),
    (int | Any, {}),
    (list, {"type": "array"}),
    (list[Any], {"type": "array"}),
    (list[list[int]], {"type": "array", "items": {"type": "array", "items": INTEGER}}),
    (Sequence[str], {"type": "array", "items": STRING}),
    (set[int], {"type": "array", "items": INTEGER, "uniqueItems": True}),
    (tuple[int, ...], {"type": "array", "items": INTEGER}),
    (tuple[int, str], {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [INTEGER, STRING]}),
    (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
    (dict, {"type": "object"}),
    (dict[str, int], {"type": "object", "additionalProperties": INTEGER}),
    (dict[int, str], {"type": "object", "additionalProperties": STRING, "propertyNames": {"pattern": "^-?[0-9]+$"}}),
    (Mapping[date, str], {"type": "object", "additionalProperties": STRING, "propertyNames": {"type": "string", "format": "date"}}),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
    (Literal["a", 1, True, None], {"enum": ["a", 1, True, None]}),
    (Literal[models.Colour.RED], {"type": "string", "enum": ["red"]}),
    (models.Colour, {"type": "string", "enum": ["red", "blue"]}),
    (models.Level, {"enum": [1, 2]}),
    (models.Shade, {"type": "string", "enum": ["DARK", "LIGHT"]}),
    (models.CustomerId, STRING),
    (Annotated[int, "How many."], {"type": "integer", "description": "How many."}),
    ("list[int | None]", {"type": "array", "items": {"type": ["integer", "null"]}}),
    ("Literal['a', -1]", {"enum": ["a", -1]}),
    ("Annotated[str, 'What.', Unknown()]", {"type": "string", "description": "What."}),
    ("models.Colour", {"type": "string", "enum": ["red", "blue"]}),
    ("tuple[int, ...]", {"type": "array", "items": INTEGER}),
    (list["models.CustomerId"], {"type": "array", "items": STRING}),
]

REFUSED: list[tuple[Any, str]] = [
    (Callable[[], None], "has no JSON form"),
    (complex, "`complex`"),
    (object(), "has no JSON form"),
    (Literal[b"a"], "Literal of bytes"),
    ("Nowhere", "`Nowhere` is not known"),
    ("print('called')", "is no type"),
    ("[x for x in ()]", "is no type"),
    ("list[", "is not understood"),
    ("(" * 5000, "understood"),
    ("int" + " | int" * 5000, "characters"),
    (list[complex], "`complex`"),
]


def property_of(annotation: Any) -> dict[str, Any]:
    def main(value) -> None: ...

    main.__annotations__["value"] = annotation
    return schema_of(main)["properties"]["value"]


class SchemaTest(unittest.TestCase):
    def test_types(self) -> None:
        for annotation, expected in CASES:
            with self.subTest(annotation):
                self.assertEqual(property_of(annotation), expected)

    def test_types_without_a_json_form(self) -> None:
        for annotation, message in REFUSED:
            with self.subTest(str(annotation)[:50]), self.assertRaisesRegex(UnsupportedType, message) as raised:
                property_of(annotation)
            self.assertIn("parameter `value`", str(raised.exception))

    def test_classes_are_definitions(self) -> None:
        integers = {"type": "array", "items": INTEGER}
        following = {"anyOf": [{"$ref": "#/$defs/Page_int"}, {"type": "null"}], "default": None}
        times = {"type": "integer", "description": "How often."}
        self.assertEqual(
            schema_of(models.everything),
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "description": "Takes all of it.",
                "type": "object",
                "properties": {
                    "tree": {"$ref": "#/$defs/Tree"},
                    "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                    "options": {"anyOf": [{"$ref": "#/$defs/Options"}, {"type": "null"}], "default": None},
                    "page": following,
                },
                "required": ["tree"],
                "$defs": {
                    "Tree": {
                        "description": "A tree.",
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "description": "Of the node."},
                            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "default": []},
                        },
                        "required": ["name"],
                    },
                    "Options": {"type": "object", "properties": {"loud": {"type": "boolean"}, "times": times}, "required": ["loud"]},
                    "Page_int": {"type": "object", "properties": {"items": integers, "following": following}, "required": ["items"]},
                },
            },
        )

    def test_two_classes_of_one_name(self) -> None:
        first, second = (dataclass(type("Item", (), {"__annotations__": {name: int}})) for name in "ab")

        def main(a, b) -> None: ...

        main.__annotations__.update(a=first, b=second)
        schema = schema_of(main)
        self.assertEqual([schema["properties"][name] for name in "ab"], [{"$ref": "#/$defs/Item"}, {"$ref": "#/$defs/Item2"}])
        self.assertEqual([*schema["$defs"]["Item2"]["properties"]], ["b"])

    def test_fields(self) -> None:
        @dataclass
        class Thing:
            kept: int = field(metadata={"description": "What it says."})
            made: int = field(init=False, default=1)
            other: list[int] = field(default_factory=lambda: self.fail("called for a description"))  # type: ignore[arg-type]

        class Partial(TypedDict, total=False):
            a: int

        described = {"type": "integer", "description": "What it says."}
        self.assertEqual(property_of(Partial), {"$ref": "#/$defs/Partial"})

        def main(thing: Thing) -> None: ...

        schema = schema_of(main)["$defs"]["Thing"]
        self.assertEqual(schema["properties"], {"kept": described, "other": {"type": "array", "items": INTEGER}})
        self.assertEqual(schema["required"], ["kept"])

    def test_parameters(self) -> None:
        def main(a, b=1, c=True, d="x", e=None, f=(), g: int = None, /, *, h: bytes = b"\1", **rest: int) -> None: ...  # noqa: RUF013

        schema = schema_of(main)
        self.assertEqual(schema["required"], ["a"])
        self.assertEqual(schema["additionalProperties"], INTEGER)
        expected = {
            "a": {},
            "b": {"type": "number", "default": 1},
            "c": {"type": "boolean", "default": True},
            "d": {"type": "string", "default": "x"},
            "e": {"default": None},
            "f": {"default": []},
            "g": {"type": ["integer", "null"], "default": None},
            "h": {"type": "string", "contentEncoding": "base64", "default": "AQ=="},
        }
        self.assertEqual(schema["properties"], expected)
        with self.assertRaisesRegex(UnsupportedType, "take a list"):
            schema_of(lambda *args: None)


class NewerPythonTest(unittest.TestCase):
    @unittest.skipIf(sys.version_info < (3, 12), "type aliases came with 3.12")
    def test_aliases_and_type_parameters(self) -> None:
        source = (
            "from dataclasses import dataclass\n"
            "type Json = None | int | list[Json]\n"
            "@dataclass\nclass Box[T]:\n  item: T\n  more: 'Box[T] | None' = None\n"
            "def main(a: Json, b: Box[int]): return a, b.item\n"
        )
        module = ModuleType("newer")
        with mock.patch.dict(sys.modules, {"newer": module}):
            exec(source, module.__dict__)  # No syntax of 3.11.
        schema = schema_of(module.main)
        self.assertEqual(schema["properties"]["a"], {"$ref": "#/$defs/Json"})
        self.assertEqual(schema["$defs"]["Json"]["anyOf"][2], {"type": "array", "items": {"$ref": "#/$defs/Json"}})
        self.assertEqual(schema["$defs"]["Box_int"]["properties"]["item"], INTEGER)
        self.assertEqual(call(module.main, {"a": [1, [None]], "b": {"item": 2.0}}), ([1, [None]], 2))


DOCSTRINGS = [
    (None, None, {}),
    ("Greets.", "Greets.", {}),
    ("Greets\n    all.\n\n    More.", "Greets all.", {}),
    (
        "G.\n\nArgs:\n    a: One\n        and more.\n    b (int, optional): Two.\n    **c: Three.\n\nReturns:\n    d: no.",
        "G.",
        {"a": "One and more.", "b": "Two.", "c": "Three."},
    ),
    ("G.\n\n:param a: One\n    and more.\n:param int b: Two.\n:type a: str\n:returns: no", "G.", {"a": "One and more.", "b": "Two."}),
    ("G.\n\nParameters\n----------\na : int\n    One.\nb\n    Two.\n\nReturns\n-------\nc\n    no", "G.", {"a": "One.", "b": "Two."}),
    ("\n    Args:\n        a: One.", None, {"a": "One."}),
    (":param a: One.", None, {"a": "One."}),
    ("Args:", None, {}),
]  # fmt: skip


class DocstringTest(unittest.TestCase):
    def test_styles(self) -> None:
        for text, summary, fields in DOCSTRINGS:
            with self.subTest(text):
                self.assertEqual(docstrings.read(text), (summary, fields))
