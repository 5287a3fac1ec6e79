"""State in memory, with the limits and the comparison of the real one."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sandmill._json import JsonError, loads
from sandmill.results import to_json
from sandmill.testing._base import Part, fail, has_controls

KEYS_MAX = 10_000
KEY_BYTES_MAX = 512
VALUE_BYTES_MAX = 1024 * 1024
PAGE_MAX = 1000


class StatePart(Part):
    """One script's, by one trigger."""

    def fake_state(self, values: Mapping[str, Any]) -> None:
        self._state: dict[str, str] = {}
        for key, value in values.items():
            self.state_set(key, to_json(value))

    def state_values(self) -> dict[str, Any]:
        return {key: json.loads(text) for key, text in self._state.items()}

    def state_get(self, key: str, /) -> str | None:
        return self._state.get(_valid(key))

    def state_set(self, key: str, value: str, /) -> None:
        _check(value)
        if _valid(key) not in self._state and len(self._state) >= KEYS_MAX:
            fail("too-large", f"there are {KEYS_MAX} keys, which is the limit")
        self._state[key] = value

    def state_delete(self, key: str, /) -> None:
        self._state.pop(_valid(key), None)

    def state_compare_and_swap(self, key: str, expected: str | None, new: str | None, /) -> bool:
        for text in (expected, new):
            if text is not None:
                _check(text)
        if _comparable(self._state.get(_valid(key))) != _comparable(expected):
            return False
        if new is None:
            self.state_delete(key)
        else:
            self.state_set(key, new)
        return True

    def state_list(self, prefix: str, after: str | None, limit: int, /) -> list[str]:
        for text in (prefix, after or ""):
            if len(text.encode()) > KEY_BYTES_MAX:
                fail("invalid-key", f"prefix and after have at most {KEY_BYTES_MAX} bytes")
        begin = b"" if after is None else after.encode()
        found = sorted(key.encode() for key in self._state if key.startswith(prefix))
        return [key.decode() for key in found if after is None or key > begin][: min(limit, PAGE_MAX)]


def _valid(key: str) -> str:
    if not key or len(key.encode(errors="replace")) > KEY_BYTES_MAX or has_controls(key):
        fail("invalid-key", f"a key has 1 to {KEY_BYTES_MAX} bytes and no control characters")
    return key


def _check(value: str) -> None:
    if len(value.encode()) > VALUE_BYTES_MAX:
        fail("too-large", f"a value has at most {VALUE_BYTES_MAX} bytes of JSON")
    try:
        loads(value)
    except JsonError as error:
        fail("invalid-json", str(error))


def _comparable(text: str | None) -> Any:
    """Equal for equal JSON: numbers by their exact value, and none of them equal to true."""
    if text is None:
        return ()
    try:
        return _tagged(json.loads(text, parse_int=Decimal, parse_float=Decimal))
    except InvalidOperation:
        return text  # An exponent beyond all that can be computed with.


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    return type(value).__name__, value
