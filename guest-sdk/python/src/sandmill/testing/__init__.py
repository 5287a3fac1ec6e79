"""A fake world for unit tests of scripts.

    with Fakes(variables={"f/demo/region": "eu"}) as fakes:
        assert main("Ann") == "Hello, Ann!"
        assert fakes.logs[0].message == "greeting"

What was not faked is `Denied`, and the message says how to fake it: as on the platform, where nothing works that was not granted. State,
log, output and context need no grant, and are always there.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from sandmill import _host
from sandmill.testing._blob import FakeObject
from sandmill.testing._brokers import Broker, SentMessage
from sandmill.testing._http import Handler, Request
from sandmill.testing._resources import FakeResource
from sandmill.testing._runs import PENDING, Child, StartedRun
from sandmill.testing._sql import SqlHandler, sqlite
from sandmill.testing._world import LogLine, World

__all__ = [
    "PENDING",
    "Broker",
    "Child",
    "FakeObject",
    "FakeResource",
    "Fakes",
    "LogLine",
    "Request",
    "SentMessage",
    "SqlHandler",
    "StartedRun",
    "sqlite",
]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock of fakes says, if nothing else is said."""


class Fakes(AbstractContextManager["Fakes"]):
    """A world that is there inside of the `with`. Worlds may be within each other; the innermost counts.

    Args:
        variables: Texts by path; `None` for one that is not found.
        secrets: Texts of secret variables by path. Requests reach the handler of `http` with these in the place of the placeholders.
        readable_secrets: Whether `variable` gives the text of secrets, as with a grant of `secrets`.
        resources: By path: a `FakeResource`, or just its fields; `None` for one that is not found.
        sql: By path of the resource: `sqlite(script)`, a connection of `sqlite3`, or a function of statement and parameters which returns
            rows (a list of objects by column) or the number of rows that were written.
        brokers: By path of the resource: a function of the `SentMessage`, which returns what the broker says; `None` is `{}`.
        http: A function from `Request` to `Response` (or to what is the JSON of one); or a mapping of `"GET https://host/path"` to these.
        runs: By path: a function that is called with the arguments, as `main` is; a value, which is the result; an exception, which is the
            child's failure; or `PENDING` for a run that does not end.
        blob: Objects by key: bytes or texts.
        state: Values by key, to begin with.
        context: Fields of the context, e.g. `{"attempt": 2}`.
        payload: The event's.
        clock: What time it is, with an offset; it stands still but for `advance`.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, str | None] | None = None,
        secrets: Mapping[str, str] | None = None,
        readable_secrets: bool = False,
        resources: Mapping[str, FakeResource | Mapping[str, Any] | None] | None = None,
        sql: Mapping[str, Any] | None = None,
        brokers: Mapping[str, Broker] | None = None,
        http: Handler | Mapping[str, Any] | None = None,
        runs: Mapping[str, Any] | None = None,
        blob: Mapping[str, bytes | str] | None = None,
        state: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        clock: datetime = EPOCH,
    ) -> None:
        self._world = World(clock)
        self._world.fake_variables(variables or {}, secrets or {}, readable=readable_secrets)
        self._world.fake_resources(resources or {})
        self._world.fake_sql(sql or {})
        self._world.fake_brokers(brokers or {})
        self._world.fake_http(http)
        self._world.fake_runs(runs or {})
        self._world.fake_blob(blob)
        self._world.fake_state(state or {})
        self._world.fake_context(context or {}, payload)

    def __enter__(self) -> "Fakes":
        _host.fakes.append(self._world)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _host.fakes.remove(self._world)

    def start(self) -> "Fakes":
        """For `setUp`; `stop` belongs to `addCleanup`."""
        return self.__enter__()

    def stop(self) -> None:
        self.__exit__(None, None, None)

    @property
    def logs(self) -> list[LogLine]:
        """What was logged, in its order."""
        return self._world.logs

    @property
    def progress(self) -> list[tuple[float, str]]:
        """Percent and text."""
        return self._world.progress

    @property
    def output(self) -> bytes:
        """What was written to the output stream."""
        return bytes(self._world.output)

    @property
    def state(self) -> dict[str, Any]:
        """What is in the state now."""
        return self._world.state_values()

    @property
    def objects(self) -> dict[str, FakeObject]:
        """What is in the object store now."""
        return dict(self._world.objects)

    @property
    def requests(self) -> list[Request]:
        """Those that were sent."""
        return self._world.requests

    @property
    def messages(self) -> list[SentMessage]:
        """What was sent over brokers, in its order."""
        return self._world.messages

    @property
    def runs(self) -> list[StartedRun]:
        """Those that were started."""
        return self._world.started

    @property
    def now(self) -> datetime:
        return self._world.now

    def advance(self, ms: float) -> None:
        """Sets the clock on."""
        self._world.now += timedelta(milliseconds=ms)
