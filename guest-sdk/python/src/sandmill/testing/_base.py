"""What all parts of the fake world have in common."""

import hashlib
from datetime import datetime
from typing import Any, NoReturn


class Failure(Exception):
    """`(code, message, details)`, as `sandmill._host` has it."""


class Part:
    """A part of the world. Handles are numbers that are never used again."""

    Failure = Failure

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._handles: dict[int, Any] = {}
        self._last_handle = 0
        super().__init__()

    @property
    def now_ms(self) -> int:
        return round(self.now.timestamp() * 1000)

    def _hold(self, thing: object) -> int:
        self._last_handle += 1
        self._handles[self._last_handle] = thing
        return self._last_handle

    def _drop(self, handle: int) -> Any:
        return self._handles.pop(handle, None)


def fail(code: str, message: str, details: str | None = None) -> NoReturn:
    raise Failure(code, message, details)


def denied(what: str, how: str, code: str = "denied") -> NoReturn:
    """As the platform says which grant is missing, this says which fake is."""
    fail(code, f"{what} is not faked: say Fakes({how})")


def placeholder(path: str, pointer: str = "") -> str:
    """Looks as those of the platform do, and is the same each time."""
    return f"{{{{sandmill-secret:{hashlib.sha256(f'{path} {pointer}'.encode()).hexdigest()[:32]}}}}}"


def has_controls(text: str) -> bool:
    return any(ord(letter) < 0x20 or 0x7F <= ord(letter) <= 0x9F for letter in text)
