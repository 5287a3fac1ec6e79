"""Types that are one value of JSON: numbers, text, and what text stands for."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from sandmill._enums import has_plain_values, plain_of
from sandmill._json import Place
from sandmill._shapes.base import Definitions, Inquiry, Schema, Shape, kind_of

_INTEGRAL = frozenset({"integer", "number"})


class AnyShape(Shape):
    rank = 9

    def schema(self, definitions: Definitions) -> Schema:
        return {}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        return value


class NeverShape(Shape):
    kinds = frozenset()
    name = "nothing at all"

    def schema(self, definitions: Definitions) -> Schema:
        return {"not": {}}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        return inquiry.refuse(at, "is not allowed")


class PlainShape(Shape):
    """`None`, `bool`, `str`, and an object or array of anything: taken as they are."""

    def __init__(self, kind: str, rank: int = 1) -> None:
        self.kinds = frozenset({kind})
        self.kind = kind
        self.rank = rank
        self.name = {"null": "null", "boolean": "true or false", "string": "a string", "array": "an array", "object": "an object"}[kind]

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": self.kind}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        return value if kind_of(value) == self.kind else inquiry.refuse(at, f"is not {self.name}")


class IntShape(Shape):
    """JSON does not tell 3 from 3.0, so both are integers."""

    kinds = _INTEGRAL
    name = "an integer"

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "integer"}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        return inquiry.refuse(at, "is not an integer")


class FloatShape(Shape):
    """`keep_integers` is for parameters without a type whose default is a number."""

    kinds = _INTEGRAL
    rank = 2
    name = "a number"

    def __init__(self, *, keep_integers: bool = False) -> None:
        self._keep_integers = keep_integers

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "number"}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is float:
            return value
        if type(value) is not int:
            return inquiry.refuse(at, "is not a number")
        if self._keep_integers:
            return value
        try:
            return float(value)
        except OverflowError:
            return inquiry.refuse(at, "is larger than a number of 64 bits can be")


class TextShape(Shape):
    """What a string stands for. `read` raises ValueError for one that does not."""

    kinds = frozenset({"string"})

    def __init__(self, name: str, read: Callable[[str], Any], schema: Schema) -> None:
        self.name = name
        self._read = read
        self._schema = schema

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "string", **self._schema}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is str:
            try:
                return self._read(value)
            except ValueError:
                pass
        return inquiry.refuse(at, f"is not {self.name}")


class DecimalShape(Shape):
    """A string of digits, which loses nothing, or a number."""

    kinds = frozenset({"integer", "number", "string"})
    name = "a decimal number"
    pattern = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,4})?$"
    _matches = re.compile(pattern.replace("$", r"\Z")).match

    def schema(self, definitions: Definitions) -> Schema:
        return {"anyOf": [{"type": "string", "pattern": self.pattern}, {"type": "number"}]}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is int:
            return Decimal(value)
        # A number of 64 bits is meant by its shortest digits: 0.1 is not 0.1000000000000000055.
        text = repr(value) if type(value) is float and isfinite(value) else value
        if type(text) is str and DecimalShape._matches(text):
            try:
                return Decimal(text)
            except InvalidOperation:
                pass
        return inquiry.refuse(at, "is not a decimal number")


class ChoiceShape(Shape):
    """One of a few values: of an `Enum`, or a `Literal`. `choices` are pairs of the JSON and of what it stands for."""

    rank = 0

    def __init__(self, choices: list[tuple[Any, Any]]) -> None:
        self.plain = [plain for plain, _ in choices]
        self.kinds = frozenset(kind_of(plain) for plain in self.plain)
        if self.kinds & _INTEGRAL:
            self.kinds |= _INTEGRAL
        self.name = f"one of {', '.join(map(repr, self.plain[:20]))}{', …' if len(choices) > 20 else ''}"
        # The kind belongs to it, or 1 would be True.
        self._values = {(self._class(plain), plain): value for plain, value in reversed(choices)}

    @staticmethod
    def _class(plain: Any) -> type:
        return float if type(plain) is int else type(plain)

    @classmethod
    def of_enum(cls, kind: type[Enum]) -> "ChoiceShape":
        if has_plain_values(kind):
            return cls([(plain_of(member), member) for member in kind])
        return cls([(member.name, member) for member in kind])

    def schema(self, definitions: Definitions) -> Schema:
        if self.kinds == {"string"}:
            return {"type": "string", "enum": self.plain}
        return {"enum": self.plain}

    def excludes(self, value: Any) -> bool:
        return type(value) in (list, dict) or (self._class(value), value) not in self._values

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if self.excludes(value):
            return inquiry.refuse(at, f"is not {self.name}")
        return self._values[self._class(value), value]


_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _matching(pattern: re.Pattern[str], read: Callable[[str], Any]) -> Callable[[str], Any]:
    def strict(text: str) -> Any:
        if pattern.fullmatch(text) is None:
            raise ValueError
        return read(text.upper())

    return strict


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None


SCALARS: dict[Any, Callable[[], Shape]] = {
    Any: AnyShape,
    object: AnyShape,
    None: lambda: PlainShape("null", 0),
    type(None): lambda: PlainShape("null", 0),
    bool: lambda: PlainShape("boolean"),
    str: lambda: PlainShape("string", 8),
    int: IntShape,
    float: FloatShape,
    Decimal: DecimalShape,
    datetime: lambda: TextShape("a date and time as RFC 3339 has it", _matching(_DATE_TIME, datetime.fromisoformat), {"format": "date-time"}),
    date: lambda: TextShape("a date, YYYY-MM-DD", _matching(_DATE, date.fromisoformat), {"format": "date"}),
    time: lambda: TextShape("a time as RFC 3339 has it", _matching(_TIME, time.fromisoformat), {"format": "time"}),
    UUID: lambda: TextShape("a UUID", _matching(_UUID, UUID), {"format": "uuid"}),
    bytes: lambda: TextShape("base64", _base64, {"contentEncoding": "base64"}),
}
"""Made when they are asked for, each by itself."""
