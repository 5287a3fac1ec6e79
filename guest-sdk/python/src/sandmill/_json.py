"""JSON as the contract has it (RFC 8259): no NaN, no endless nesting, and nothing lost on the way.

A place inside of a value is a chain of `(place around it, key or index)`, `None` at the top: one small tuple a level, turned into a
JSON pointer only when there is something to say about it.
"""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

DEPTH_MAX = 128
"""Levels of arrays and objects in each other. The host's parser has the same limit."""

Place = tuple[Any, str | int] | None

TOO_DEEP = f"is nested more than {DEPTH_MAX} levels deep"
NOT_FINITE = "is a number that JSON cannot say: it is not finite"

_LEAVES = frozenset({str, int, bool, type(None)})


class JsonError(ValueError):
    """What is no JSON or has no JSON form. `pointer` says where, `message` what."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the value'} {message}")
        self.pointer = pointer
        self.message = message


def pointer(at: Place) -> str:
    """The JSON pointer (RFC 6901) of a place."""
    parts = []
    while at is not None:
        at, key = at
        parts.append("/" + str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(reversed(parts))


def loads(text: str) -> Any:
    """The value of a text that somebody else wrote.

    Raises:
        JsonError: If it is no JSON, nested too deeply, or holds a number that no Python number can be.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise JsonError("", TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise JsonError("", f"is no JSON: {error}") from None
    except JsonError:
        raise
    except ValueError:
        # The one other thing that the decoder raises: digits beyond what Python turns into an integer.
        raise JsonError("", "has an integer of too many digits") from None
    check(value)
    return value


def _refuse_constant(name: str) -> Any:
    raise JsonError("", f"is no JSON: it has no {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def check(value: Any, at: Place = None) -> None:
    """Makes sure of a value that did not come out of `loads`.

    Raises:
        JsonError: At the first place that is no JSON.
    """
    # A loop of its own instead of recursion: it sees the values before anything else guards against their depth.
    stack: list[tuple[Any, Place, int]] = [(value, at, 0)]
    while stack:
        value, at, depth = stack.pop()
        kind = type(value)
        if kind in _LEAVES:
            continue
        if kind is float:
            if not isfinite(value):
                raise JsonError(pointer(at), NOT_FINITE)
            continue
        if kind is not list and kind is not dict:
            raise JsonError(pointer(at), f"is no JSON but a {kind.__name__}")
        if depth >= DEPTH_MAX:
            raise JsonError(pointer(at), TOO_DEEP)
        depth += 1
        for key, item in enumerate(value) if kind is list else _members(value, at):
            if type(item) not in _LEAVES:
                stack.append((item, (at, key), depth))


def _members(value: dict[Any, Any], at: Place) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if type(key) is not str:
            raise JsonError(pointer(at), f"is no JSON: a key of it is a {type(key).__name__}")
        yield key, item


def dumps(plain: Any) -> str:
    """The text of a value that is JSON already, as `to_plain` makes it.

    Raises:
        JsonError: If it has text that is no Unicode (half of a surrogate pair), or an integer of too many digits.
    """
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if not text.isascii():
            text.encode()
    except ValueError:
        raise _unwritable(plain) from None
    return text


def _unwritable(plain: Any) -> JsonError:
    """Looks for the place, which the encoder does not tell."""
    stack: list[tuple[Any, Place]] = [(plain, None)]
    while stack:
        value, at = stack.pop()
        if isinstance(value, dict):
            stack.extend((item, (at, key)) for key, item in value.items())
            stack.extend((key, at) for key in value)
        elif isinstance(value, list):
            stack.extend((item, (at, index)) for index, item in enumerate(value))
        else:
            try:
                json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            except UnicodeEncodeError:
                # The pointer may hold the very text.
                return JsonError(pointer(at).encode(errors="replace").decode(), "has text that is no Unicode: half of a surrogate pair")
            except ValueError:
                return JsonError(pointer(at), "has no JSON form: an integer of too many digits, or a number that is not finite")
    return JsonError("", "has no JSON form")
