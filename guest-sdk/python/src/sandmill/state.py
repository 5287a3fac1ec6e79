"""State: JSON that a script keeps from one run to the next, per script and trigger. A write is durable when the call returns.

A key has 1 to 512 bytes and no control characters; a value at most 1 MiB of JSON, 128 levels deep; there are at most 10,000 keys.
All functions raise `StateError`, and `JsonError` for what has no JSON form.
"""

import builtins
import json
from enum import Enum
from typing import Any, Final

from sandmill._host import refused_as
from sandmill.errors import StateError
from sandmill.results import to_json

KEYS_PER_PAGE_MAX = 1000


class _Absent(Enum):
    ABSENT = "ABSENT"


ABSENT: Final = _Absent.ABSENT
"""Stands for a key that is not there. `None` is JSON's `null`, a value like any other."""


def get(key: str, default: Any = None) -> Any:
    """The value of a key, `default` if there is none."""
    with refused_as(StateError) as host:
        value = host.state_get(key)
    return default if value is None else json.loads(value)


def set(key: str, value: Any) -> None:
    """Writes anything that has a JSON form. A date comes back as a string."""
    text = to_json(value)
    with refused_as(StateError) as host:
        host.state_set(key, text)


def delete(key: str) -> None:
    """Takes a key away. It is no error if there is none."""
    with refused_as(StateError) as host:
        host.state_delete(key)


def compare_and_swap(key: str, expected: Any, replacement: Any) -> bool:
    """Writes `replacement` if the value is `expected`, compared as JSON, and says whether it wrote.

    `ABSENT` as `expected` writes only what is not there yet, as `replacement` it deletes.
    """
    before, after = (None if value is ABSENT else to_json(value) for value in (expected, replacement))
    with refused_as(StateError) as host:
        return host.state_compare_and_swap(key, before, after)


def list(prefix: str = "", *, after: str | None = None, limit: int = KEYS_PER_PAGE_MAX) -> builtins.list[str]:
    """Keys that begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit` and at most 1,000."""
    with refused_as(StateError) as host:
        return host.state_list(prefix, after, page_size(limit, KEYS_PER_PAGE_MAX))


def page_size(limit: float, most: int) -> int:
    """How many to ask for.

    Raises:
        ValueError: If `limit` is no number of items.
    """
    if not limit >= 0:
        raise ValueError("limit is a number of items, 0 or more")
    return int(min(limit, most))
