"""Errors: those that scripts raise, and those with which the host refuses something."""

from typing import Any, NamedTuple


class Error(Exception):
    """An error under a name of one's own, with details: `raise Error("RateLimited", "slow down", {"after_ms": 500})`.

    Name, message and details are kept with the run; a retry policy can look at each of them. `details` is anything that has a JSON form.
    """

    def __init__(self, name: str, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.details = details


class HostError(Error):
    """What the host refused. `code` is one of a few words; `unavailable` may go away if the call is tried again."""

    def __init__(self, code: str, message: str, details: Any = None) -> None:
        super().__init__(type(self).__name__, message, details)
        self.code = code


class Denied(HostError):
    """No grant covers it; the message says how to give it. What is denied is also an error of its interface, e.g. a `VariableError`."""


class StateError(HostError):
    """`code`: `invalid-key`, `invalid-json`, `too-large`, `unavailable`."""


class VariableError(HostError):
    """`code`: `denied`, `invalid`, `not-found`, `unavailable`."""


class ResourceError(HostError):
    """`code`: `denied`, `invalid`, `not-found`, `unavailable`."""


class SqlError(HostError):
    """`code`: `denied`, `invalid`, `database`, `too-large`, `timeout`, `unavailable`.

    With `database`, `details` has what the database said: `{"code", "message"}` and perhaps `detail`, `hint`, `constraint` and `position`.
    `code` in there is the SQLSTATE of PostgreSQL, the extended result code of SQLite; `position` counts characters from 1.
    """


class PublishError(HostError):
    """`code`: `denied`, `invalid`, `too-large`, `unavailable`. With `unavailable` the message may have arrived: one with an `id` is sent again
    as a repetition that the broker knows."""


class BlobError(HostError):
    """`code`: `denied`, `invalid`, `too-large`, `unavailable`."""


class RunsError(HostError):
    """`code`: `denied`, `invalid`, `not-found`, `invalid-arguments`, `too-many`, `timeout`, `unavailable`.

    With `invalid-arguments`, `details` is `{"faults": [{"pointer", "message"}]}`.
    """


class HttpError(HostError):
    """A request without an answer. `code` is that of `wasi:http`: `HTTP-request-denied`, `connection-timeout`, ….

    An answer of any status is no error.
    """


class ChildError(Error):
    """A child that failed, under the name and with the message of its own error.

    `outcome` is `error`, `timeout`, `cancelled`, …; `child_stack` has one frame a line, innermost first.
    """

    def __init__(self, run_id: str, outcome: str, name: str, message: str, *, stack: str | None = None, details: Any = None) -> None:
        super().__init__(name, message, details)
        self.run_id = run_id
        self.outcome = outcome
        self.child_stack = stack


class Fault(NamedTuple):
    """What is wrong with one argument, and where: a JSON pointer into the arguments; for a missing one, where it should be."""

    pointer: str
    message: str


class InvalidArguments(Error):
    """Arguments that do not fit the parameters: all that is wrong with them, in `faults`."""

    def __init__(self, faults: list[Fault]) -> None:
        message = "; ".join(f"{fault.pointer or 'the arguments'} {fault.message}" for fault in faults)
        super().__init__("InvalidArguments", message, {"faults": [fault._asdict() for fault in faults]})
        self.faults = faults


_DENIED_CODES = frozenset({"denied", "HTTP-request-denied"})


def refusal(kind: type[HostError], code: str, message: str, details: Any = None) -> HostError:
    """The error of an interface for what the host said; one that is `Denied`, too, if a grant is missing."""
    return (_denied(kind) if code in _DENIED_CODES else kind)(code, message, details)


_denied_kinds: dict[type[HostError], type[HostError]] = {HostError: Denied}


def _denied(kind: type[HostError]) -> type[HostError]:
    if kind not in _denied_kinds:
        _denied_kinds[kind] = type(kind.__name__, (kind, Denied), {"__module__": kind.__module__, "__doc__": Denied.__doc__})
    return _denied_kinds[kind]
