"""How members of an `Enum` are JSON: by their values if all of these are scalars of JSON, else by their names."""

from enum import Enum
from functools import cache
from math import isfinite
from typing import Any

_SCALARS = (str, int, float, bool)


@cache
def has_plain_values(kind: type[Enum]) -> bool:
    return all(isinstance(member.value, _SCALARS) and not _is_odd(member.value) for member in kind)


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not isfinite(value)


def plain_of(member: Enum) -> str | int | float | bool:
    value = member.value
    if not has_plain_values(type(member)):
        return str(member.name)
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
