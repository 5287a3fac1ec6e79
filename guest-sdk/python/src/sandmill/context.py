"""What a script may know about its own run."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sandmill._host import refused_as
from sandmill.errors import HostError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Trigger(NamedTuple):
    """`kind` is e.g. `webhook`; `path` is `None` for triggers that every script has."""

    kind: str
    path: str | None


# Asked for each time: one process may see many runs.
run_id: str
"""UUIDv7"""
script: str
"""The script's path, e.g. `f/demo/hello`."""
version: str
"""Digest of the version, `sha256:<hex>`."""
workspace: str
trigger: Trigger | None
"""`None` for a run that no trigger started."""
attempt: int
"""1 for the first try."""
deadline: datetime
"""When the run is ended, UTC."""
run_as: str
"""The identity that the run acts as."""

_FIELDS = {name: place for place, name in enumerate(["run_id", "script", "version", "workspace", "trigger", "attempt", "deadline", "run_as"])}


def payload() -> bytes:
    """The event's payload as it arrived; empty for a run that no event started."""
    with refused_as(HostError) as host:
        return host.context_payload()


def __getattr__(name: str) -> Any:
    place = _FIELDS.get(name)
    if place is None:
        raise AttributeError(f"the context has no {name!r}")
    with refused_as(HostError) as host:
        value = host.context_get()[place]
    if name == "deadline":
        assert isinstance(value, int)
        return moment(value)
    return Trigger(*value) if isinstance(value, tuple) else value


def moment(ms: int) -> datetime:
    """Milliseconds since the Unix epoch, as a date."""
    return EPOCH + timedelta(milliseconds=ms)
