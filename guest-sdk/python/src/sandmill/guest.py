"""What a runtime calls: the exports of a script (`sandmill:script`), on a module of Python.

The module is to be in `sys.modules` under its name while it is evaluated, and should stay there: `dataclasses` looks for it.
"""

import json
import traceback
from types import ModuleType
from typing import Any, NamedTuple

from sandmill._json import JsonError, dumps
from sandmill.arguments import call_with_text, preprocess
from sandmill.errors import Error
from sandmill.results import output_of, to_plain
from sandmill.signatures import schema_of

DETAILS_ITEMS_MAX = 100
FRAMES_MAX = 100
"""The innermost: after endless recursion the others are all the same."""

_CALLERS = ("sandmill.guest", "sandmill.arguments")


class Failure(NamedTuple):
    """The record `error`: `stack` has one frame a line, innermost first; `details` is JSON."""

    name: str
    message: str
    stack: str | None
    details: str | None


def describe(script: ModuleType) -> str:
    """`schema.describe`"""
    return dumps(schema_of(_main(script)))


def run(script: ModuleType, args: str) -> tuple[str, str] | tuple[str, str, bytes]:
    """`main.run`. Raises whatever the script does; see `failure_of`."""
    return output_of(call_with_text(_main(script), args))


def preprocess_event(script: ModuleType, event: str) -> str | None:
    """`preprocessor.preprocess`; `None` for an event that there is nothing to do for."""
    arguments = preprocess(script.preprocessor, json.loads(event))
    return None if arguments is None else dumps(arguments)


def failure_of(error: BaseException) -> Failure:
    """An exception as the host keeps it. Whatever of it has no JSON form is left out."""
    if isinstance(error, Error):
        name, message, details = error.name, error.message, error.details
    else:
        name, message, details = type(error).__name__, _message(error), _details(error) or None
    try:
        text = None if details is None else dumps(to_plain(details))
    except (JsonError, RecursionError):
        text = None
    return Failure(_unicode(name), _unicode(message), _stack(error), text)


def _main(script: ModuleType) -> Any:
    main = getattr(script, "main", None)
    if not callable(main):
        raise TypeError("a script has a function main: def main():")
    return main


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # A `__str__` of the script's own.
        return f"(its text cannot be had: {type(second).__name__})"


def _details(error: BaseException) -> dict[str, Any]:
    details = {}
    for name, value in list(vars(error).items())[:DETAILS_ITEMS_MAX]:
        if not name.startswith("_"):
            try:
                plain = to_plain(value)
                dumps({name: plain})
            except (JsonError, RecursionError):
                continue
            details[name] = plain
    return details


def _stack(error: BaseException) -> str | None:
    frames = [(frame, line, frame.f_globals.get("__name__", "")) for frame, line in traceback.walk_tb(error.__traceback__)]
    # Those above main, and our own below it, say nothing to whoever wrote the script.
    begin = max((place + 1 for place, (_, _, module) in enumerate(frames) if module in _CALLERS), default=0)
    own = [(frame.f_code, line) for frame, line, module in frames[begin:] if module.partition(".")[0] != "sandmill"]
    lines = [f"{code.co_qualname} ({code.co_filename}:{line})" for code, line in reversed(own[-FRAMES_MAX:])]
    return _unicode("\n".join(lines)) if lines else None


def _unicode(text: str) -> str:
    return str(text).encode(errors="replace").decode()
