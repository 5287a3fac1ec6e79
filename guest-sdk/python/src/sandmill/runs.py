"""Runs that this run starts: its children. Granted by path: `[grants] runs = ["f/demo/*"]`.

The functions return when they are done; while they wait, the run occupies no slot. All raise `RunsError`.
"""

import json
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, overload

from sandmill._host import Ending, refused_as
from sandmill.errors import ChildError, RunsError
from sandmill.results import Binary, to_json


def start(
    path: str,
    args: Mapping[str, Any] | None = None,
    *,
    delay_ms: float | None = None,
    priority: int | None = None,
    tag: str | None = None,
    key: str | None = None,
) -> str:
    """Starts the script at `path`, or at `path@number`; returns the run's id, once the run is durable.

    Args:
        path: Of the script.
        args: Anything whose JSON is an object.
        delay_ms: How long it waits before it may start.
        priority: From -1000 to 1000; else that of the run which starts it.
        tag: Only nodes that serve the tag run it.
        key: 1 to 255 characters. A later start by the same run with the same key is the same child, so an attempt that is made again
            finds what the one before it started.
    """
    text = to_json({} if args is None else args)
    with refused_as(RunsError) as host:
        return host.runs_start(path, text, _milliseconds("delay_ms", delay_ms), priority, tag, key)


@overload
def wait(ids: str, *, timeout_ms: float | None = None) -> Any: ...
@overload
def wait(ids: Sequence[str], *, timeout_ms: float | None = None) -> list[Any]: ...
def wait(ids: str | Sequence[str], *, timeout_ms: float | None = None) -> Any:
    """Waits for a child, or for all of up to 1,000; without `timeout_ms` as long as this run may take.

    Returns:
        What it returned, bytes as a `Binary`; `None` if its preprocessor said that there was nothing to do. A list, in their order, for several.

    Raises:
        ChildError: If it failed; of several, the first that did.
        RunsError: `timeout` if it has not ended.
    """
    timeout = _milliseconds("timeout_ms", timeout_ms)
    if isinstance(ids, str):
        return _wait_for_one(ids, timeout)
    with refused_as(RunsError) as host:
        ended = set(host.runs_wait_many(list(ids), "all", timeout))
    for id in ids:
        if id not in ended:
            raise RunsError("timeout", f"run {id} has not ended within {timeout_ms} ms")
    return [_wait_for_one(id, 0) for id in ids]


def any(ids: Sequence[str], *, timeout_ms: float | None = None) -> list[str]:
    """Waits until one of the children has ended. Returns those that have; after `timeout_ms` perhaps none."""
    with refused_as(RunsError) as host:
        return host.runs_wait_many(list(ids), "any", _milliseconds("timeout_ms", timeout_ms))


def run(
    path: str,
    args: Mapping[str, Any] | None = None,
    *,
    timeout_ms: float | None = None,
    delay_ms: float | None = None,
    priority: int | None = None,
    tag: str | None = None,
    key: str | None = None,
) -> Any:
    """`start` and `wait`."""
    return wait(start(path, args, delay_ms=delay_ms, priority=priority, tag=tag, key=key), timeout_ms=timeout_ms)


class Result:
    """How a child ended. `value` is what it returned, `error` is `None` unless it failed."""

    def __init__(self, value: Any, error: ChildError | None) -> None:
        self.value = value
        self.error = error

    @property
    def ok(self) -> bool:
        return self.error is None


def result(id: str) -> Result | None:
    """How a child ended; `None` if it has not."""
    with refused_as(RunsError) as host:
        ending = host.runs_get_result(id)
    if ending is None:
        return None
    try:
        return Result(_value(id, ending), None)
    except ChildError as error:
        return Result(None, error)


def cancel(id: str) -> bool:
    """Asks for a child's end and that of all that it started; `False` if it had ended."""
    with refused_as(RunsError) as host:
        return host.runs_cancel(id)


def _wait_for_one(id: str, timeout_ms: int | None) -> Any:
    with refused_as(RunsError) as host:
        ending = host.runs_wait(id, timeout_ms)
    return _value(id, ending)


def _value(id: str, ending: Ending) -> Any:
    match ending:
        case ("json", text):
            return json.loads(text)
        case ("bytes", content_type, data):
            return Binary(data, content_type)
        case ("skipped",):
            return None
        case (_, outcome, name, message, stack, details):
            raise ChildError(id, outcome, name, message, stack=stack, details=None if details is None else json.loads(details))
    raise RunsError("unavailable", f"the host told no ending: {ending[:1]}")


def _milliseconds(what: str, value: float | None) -> int | None:
    """Whole ones, and no fewer than were asked for."""
    if value is None:
        return None
    if not 0 <= value < 2**53:
        raise ValueError(f"{what} is a number of milliseconds")
    return ceil(value)
