"""Databases: SQL on a resource of the type `postgresql` or `sqlite`. Granted by path and mode: `[grants] sql = ["read f/demo/database"]`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, NamedTuple, Protocol

from sandmill._host import SqlAnswer, refused_as
from sandmill.errors import SqlError
from sandmill.resources import Resource, resource
from sandmill.results import to_json

Row = dict[str, Any]


class Column(NamedTuple):
    """`type` is the database's name of it, in lower case, e.g. `int8`."""

    name: str
    type: str


class Rows(list[Row]):
    """An answer: a list of objects by column. `columns` is no part of its JSON."""

    columns: list[Column]


class Session(Protocol):
    """What a database and a transaction on it have in common."""

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        """One statement; parameters are bound, never pasted: `$1`, `$2`, … . At most 100,000 rows and 16 MiB.

        Integers beyond ±(2^53 - 1) and all of `numeric` are strings of their digits, times are RFC 3339, bytes base64.

        Raises:
            SqlError: What the database or the host says.
        """

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """As `query`, for the number of rows that were written."""


class Transaction:
    """What happens in it happens altogether or not at all. Ends with the `with` that began it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        text = _parameters(parameters)
        with refused_as(SqlError) as host:
            return _rows(host.sql_transaction_query(self._handle, statement, text))

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        text = _parameters(parameters)
        with refused_as(SqlError) as host:
            return host.sql_transaction_execute(self._handle, statement, text)


class Database:
    """The database of a resource. Queries return when they are done."""

    def __init__(self, of: Resource) -> None:
        self._resource = of

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        text = _parameters(parameters)
        with refused_as(SqlError) as host:
            return _rows(host.sql_query(self._resource.handle, statement, text))

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        text = _parameters(parameters)
        with refused_as(SqlError) as host:
            return host.sql_execute(self._resource.handle, statement, text)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commits at the end of the `with`, and undoes all of it if that raises. At most 4 at once."""
        with refused_as(SqlError) as host:
            handle = host.sql_transaction_begin(self._resource.handle)
        # One that is dropped without a commit is undone, so an error needs nothing more.
        try:
            yield Transaction(handle)
            with refused_as(SqlError):
                host.sql_transaction_commit(handle)
        finally:
            host.sql_transaction_drop(handle)


def sql(on: Resource | str) -> Database:
    """The database of a resource, or of that at a path.

    Raises:
        ResourceError: If it cannot be opened.
    """
    return Database(on if isinstance(on, Resource) else resource(on))


def _rows(answer: SqlAnswer) -> Rows:
    columns, text = answer
    rows = Rows(json.loads(text))
    rows.columns = [Column(*column) for column in columns]
    return rows


def _parameters(values: Sequence[Any]) -> str:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError("sql: the parameters are a list")
    # What is not finite goes as the text from which the database makes it again. Dates, bytes and decimals have such a form anyway.
    return to_json([str(value) if isinstance(value, float) and not isfinite(value) else value for value in values])
