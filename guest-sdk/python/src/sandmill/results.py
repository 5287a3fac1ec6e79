"""Results: how what `main` returns becomes JSON, bytes, or an HTTP answer."""

import base64
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from sandmill._enums import plain_of
from sandmill._json import DEPTH_MAX, NOT_FINITE, TOO_DEEP, JsonError, Place, dumps, pointer
from sandmill.response import Response

OCTET_STREAM = "application/octet-stream"

_AS_IS = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes with their media type: as a result of `main`, and as what a child returned."""

    data: bytes
    content_type: str = OCTET_STREAM


def output_of(result: Any) -> tuple[str, str] | tuple[str, str, bytes]:
    """What `main` returned, as the host takes it: `("json", text)` or `("bytes", content type, data)`.

    Raises:
        JsonError: If it has no JSON form; the pointer says where.
    """
    if isinstance(result, bytes | bytearray | memoryview):
        return "bytes", OCTET_STREAM, bytes(result)
    if isinstance(result, Binary):
        return "bytes", result.content_type, result.data
    if isinstance(result, Response):
        return "json", dumps({"$http": result.to_plain()})
    return "json", to_json(result)


def to_json(value: Any) -> str:
    """The JSON text of a value.

    Beside what JSON has: dataclasses and mappings are objects; dates and times ISO 8601, UTC with `Z`; members of an `Enum` are their values,
    or their names if their values have no JSON form; a `Decimal` is a string of its digits, a `UUID` its text, bytes are base64; sequences
    and sets are arrays, sets in the order of their items or of their JSON.

    Raises:
        JsonError: For anything else, numbers that are not finite, and what is nested more than 128 levels deep; the pointer says where.
    """
    return dumps(to_plain(value))


def to_plain(value: Any) -> Any:
    """As `to_json`, before it is written: of `dict`, `list`, `str`, `int`, `float`, `bool` and `None` only."""
    return _plain(value, None, 0)


def _plain(value: Any, at: Place, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is float:
        return _finite(value, at)
    if depth >= DEPTH_MAX and isinstance(value, Mapping | Sequence | Set) and not isinstance(value, str | bytes):
        raise JsonError(pointer(at), TOO_DEEP)
    if kind is list or kind is tuple:
        # Most of a large result are leaves: they are not worth a call.
        return [item if type(item) in _AS_IS else _plain(item, (at, index), depth + 1) for index, item in enumerate(value)]
    if kind is dict:
        return _object(value, at, depth)
    return _special(value, at, depth)


def _object(value: Mapping[Any, Any], at: Place, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str else _key(key, at)
        if name in plain:
            raise JsonError(pointer((at, name)), "is there twice: two keys have the same JSON form")
        plain[name] = item if type(item) in _AS_IS else _plain(item, (at, name), depth + 1)
    return plain


def _key(key: Any, at: Place) -> str:
    if isinstance(key, bool | float | type(None)) or (isinstance(key, Sequence | Set) and not isinstance(key, str)):
        raise JsonError(pointer(at), f"has a key that is a {type(key).__name__}: a key is text, or an integer, a date or the like")
    plain = _special(key, at, DEPTH_MAX) if type(key) is not int else key
    if isinstance(plain, str | int) and not isinstance(plain, bool):
        return _digits(plain, at) if isinstance(plain, int) else plain
    raise JsonError(pointer(at), f"has a key that is a {type(key).__name__}")


def _digits(number: int, at: Place) -> str:
    try:
        return str(number)
    except ValueError:
        raise JsonError(pointer(at), "has a key of too many digits") from None


def _special(value: Any, at: Place, depth: int) -> Any:
    match value:
        case Enum():
            return plain_of(value)
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return _finite(float(value), at)
        case datetime():
            return moment_text(value)
        case date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case Decimal():
            if not value.is_finite():
                raise JsonError(pointer(at), NOT_FINITE)
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case Response() | Binary():
            raise JsonError(pointer(at), f"is a {type(value).__name__}: it is the whole result, or nothing")
        case _:
            return _container(value, at, depth)


def _container(value: Any, at: Place, depth: int) -> Any:
    if depth >= DEPTH_MAX:
        raise JsonError(pointer(at), TOO_DEEP)
    if is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in fields(value)}, at, depth)
    if isinstance(value, Mapping):
        return _object(value, at, depth)
    if isinstance(value, Sequence):
        return [_plain(item, (at, index), depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Set):
        items = [_plain(item, (at, index), depth + 1) for index, item in enumerate(value)]
        # Their order in Python changes from run to run; the same result should be the same text.
        same = len({type(item) for item in items}) <= 1 and not isinstance(next(iter(items), None), dict | list | None)
        return sorted(items) if same else sorted(items, key=dumps)
    raise JsonError(pointer(at), f"has no JSON form: it is a {type(value).__name__}")


def _finite(number: float, at: Place) -> float:
    if not isfinite(number):
        raise JsonError(pointer(at), NOT_FINITE)
    return number


def moment_text(moment: datetime) -> str:
    """RFC 3339 where the date has an offset, else the same without one."""
    text = moment.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text
