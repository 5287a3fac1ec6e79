"""The one seam between this package and whoever runs it.

Inside of the sandbox the runtime provides a module of the name `_sandmill_host`. It has what the protocol `Host` says, one function for
each of the WIT interfaces (`wit/`), and is used as it is. Outside there is no such module; then a fake world answers, that of the
innermost `sandmill.testing.Fakes`, and without one nobody does: see `Absent`.

How WIT becomes Python:

- A function is named by its interface and its own name: `sandmill:state/state.compare-and-swap` is `state_compare_and_swap`. Methods have
  the resource in between where several of an interface have the same name: `sql_transaction_query`, `blob_reader_read`.
- `string` is `str`, `list<u8>` is `bytes`, integers are `int`, `option` is `None` or the value, `list` is `list`. JSON stays text.
- A record is a tuple of its fields in their order; an option record among parameters is taken apart into parameters.
- A case of a variant is a tuple that begins with its name; an enum's case is its name.
- A resource is an `int`, good until its `…_drop`, which is called once for each.
- `result<T, E>` is the value, or a raised `Failure`. Its `args` are `(code, message, details)`: the name of the case as WIT has it, the text,
  and JSON text or `None`: for `sql`'s `database` an object of the record's fields that are set, for `runs`' `invalid-arguments` the
  details of the `script-error`.
- `http_…` stands for `wasi:http/outgoing-handler`. The code of a failure is that of `wasi:http`, e.g. `HTTP-request-denied`.

A call returns when it is done. What must not be called (say, at the top level of a script) raises whatever the runtime likes.
"""

from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn, Protocol, cast

from sandmill import errors
from sandmill._json import loads

BlobObject = tuple[str, int, int, str | None]
"""`key`, `size`, `modified-ms`, `content-type`"""

SqlAnswer = tuple[list[tuple[str, str]], str]
"""`columns` (`name`, `kind`), `rows`"""

Ending = tuple[Any, ...]
"""`("json", text)`, `("bytes", content type, data)`, `("skipped",)`, `("failed", outcome, name, message, stack, details)`; the first two are
`succeeded`, the last two may be `None`."""

Message = tuple[str, bytes, list[tuple[str, str]], str | None, bool]
"""`to`, `payload`, `headers`, `id`, `kept`"""

ContextInfo = tuple[str, str, str, str, tuple[str, str | None] | None, int, int, str]
"""`run-id`, `script`, `version`, `workspace`, `trigger` (`kind`, `path`), `attempt`, `deadline-ms`, `run-as`"""

HttpHead = tuple[int, list[tuple[str, str]], int]
"""Status, headers, and the body as a resource."""


class Host(Protocol):
    """What `_sandmill_host` has. See the module's text for how it follows from WIT."""

    @property
    def Failure(self) -> type[Exception]: ...

    def state_get(self, key: str, /) -> str | None: ...
    def state_set(self, key: str, value: str, /) -> None: ...
    def state_delete(self, key: str, /) -> None: ...
    def state_compare_and_swap(self, key: str, expected: str | None, new: str | None, /) -> bool: ...
    def state_list(self, prefix: str, after: str | None, limit: int, /) -> list[str]: ...

    def variables_get(self, path: str, /) -> str: ...
    def variables_placeholder(self, path: str, /) -> str: ...

    def resources_open(self, path: str, /) -> int: ...
    def resources_kind(self, handle: int, /) -> str: ...
    def resources_fields(self, handle: int, /) -> str: ...
    def resources_placeholder(self, handle: int, pointer: str, /) -> str: ...
    def resources_drop(self, handle: int, /) -> None: ...

    def sql_query(self, on: int, statement: str, parameters: str, /) -> SqlAnswer: ...
    def sql_execute(self, on: int, statement: str, parameters: str, /) -> int: ...
    def sql_transaction_begin(self, on: int, /) -> int: ...
    def sql_transaction_query(self, transaction: int, statement: str, parameters: str, /) -> SqlAnswer: ...
    def sql_transaction_execute(self, transaction: int, statement: str, parameters: str, /) -> int: ...
    def sql_transaction_commit(self, transaction: int, /) -> None: ...
    def sql_transaction_rollback(self, transaction: int, /) -> None: ...
    def sql_transaction_drop(self, transaction: int, /) -> None: ...

    def publish_publish(self, via: int, message: Message, /) -> str: ...

    def blob_get(self, key: str, /) -> int | None: ...
    def blob_reader_info(self, reader: int, /) -> BlobObject: ...
    def blob_reader_read(self, reader: int, max: int, /) -> bytes | None: ...
    def blob_reader_drop(self, reader: int, /) -> None: ...
    def blob_put(self, key: str, content_type: str | None, /) -> int: ...
    def blob_writer_write(self, writer: int, data: bytes, /) -> None: ...
    def blob_writer_finish(self, writer: int, /) -> BlobObject: ...
    def blob_writer_drop(self, writer: int, /) -> None: ...
    def blob_stat(self, key: str, /) -> BlobObject | None: ...
    def blob_delete(self, key: str, /) -> None: ...
    def blob_list(self, prefix: str, after: str | None, limit: int, /) -> list[BlobObject]: ...

    def runs_start(self, path: str, args: str, delay_ms: int | None, priority: int | None, tag: str | None, key: str | None, /) -> str: ...
    def runs_wait(self, run: str, timeout_ms: int | None, /) -> Ending: ...
    def runs_wait_many(self, runs: list[str], until: str, timeout_ms: int | None, /) -> list[str]: ...
    def runs_get_result(self, run: str, /) -> Ending | None: ...
    def runs_cancel(self, run: str, /) -> bool: ...

    def context_get(self) -> ContextInfo: ...
    def context_payload(self) -> bytes: ...
    def log_write(self, level: str, message: str, fields: str | None, /) -> None: ...
    def output_progress(self, percent: float, text: str, /) -> None: ...
    def output_write(self, chunk: bytes, /) -> None: ...

    def http_send(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, timeout_ms: int | None, /) -> HttpHead: ...
    def http_body_read(self, body: int, max: int, /) -> bytes | None: ...
    def http_body_drop(self, body: int, /) -> None: ...


class Absent:
    """Nobody is there: log lines go to the logger `sandmill` of `logging`, all else is `Denied`, and says how to fake it."""

    class Failure(Exception):
        """`(code, message, details)`"""

    def log_write(self, level: str, message: str, fields: str | None, /) -> None:
        import logging  # Not needed where there is a host, and slow to load there.

        number = {"trace": 5, "warn": logging.WARNING}.get(level) or getattr(logging, level.upper())
        logging.getLogger("sandmill").log(number, "%s%s", message, "" if fields is None else f" {fields}")

    def __getattr__(self, name: str) -> Any:
        def denied(*_: object) -> NoReturn:
            what = name.partition("_")[0]
            code = "HTTP-request-denied" if what == "http" else "denied"
            raise self.Failure(code, f"`{what}` is not there outside of Sandmill: fake it, `with sandmill.testing.Fakes(…):`", None)

        return denied


fakes: list[Host] = []
"""Those that are in use, the innermost last."""

_ABSENT = cast(Host, Absent())


def current() -> Host:
    """Whom to ask."""
    if fakes:
        return fakes[-1]
    try:
        # Python keeps it after the first time; a module of our own that does would hide a fake that comes later.
        return cast(Host, import_module("_sandmill_host"))
    except ModuleNotFoundError as error:
        if error.name != "_sandmill_host":
            raise
        return _ABSENT


class refused_as:
    """Turns what the host raises inside of the `with` into the error of an interface."""

    def __init__(self, kind: type[errors.HostError]) -> None:
        self._kind = kind

    def __enter__(self) -> Host:
        self._host = current()
        return self._host

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, self._host.Failure):
            code, message, details = error.args
            raise errors.refusal(self._kind, code, message, None if details is None else loads(details)) from None
