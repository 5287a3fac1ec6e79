"""Databases: functions of the test, or SQLite in memory."""

import base64
import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NoReturn

from sandmill._host import SqlAnswer
from sandmill.results import to_json
from sandmill.testing._base import Part, fail
from sandmill.testing._resources import ResourcesPart

SqlHandler = Callable[[str, list[Any]], int | Sequence[Mapping[str, Any]]]

ROWS_MAX = 100_000
ANSWER_BYTES_MAX = 16 * 1024 * 1024
TRANSACTIONS_MAX = 4
_EXACT_MAX = 2**53 - 1

_FORBIDDEN = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|START|SET|COPY|LISTEN|ATTACH|DETACH|PRAGMA|VACUUM)\b", re.IGNORECASE)
# What begins with a quote or is a comment stays; a cast of PostgreSQL goes, and `$1` becomes `:p1`.
_TOKENS = re.compile(
    r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/)"""
    r"""|(::\s*[A-Za-z_]\w*(?:\s*\(\s*\d+(?:\s*,\s*\d+)?\s*\))?(?:\[\])*)|\$(\d+)""",
    re.DOTALL,
)


class _InMemory(sqlite3.Connection):
    """One that a test leaves to itself is no leak that Python should warn of."""

    def __del__(self) -> None:
        self.close()


def sqlite(script: str = "") -> sqlite3.Connection:
    """A database in memory, after a script of SQL.

    The casts of PostgreSQL (`$1::date`) are left out of the statements that it gets, so that simple ones work as they are.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=_InMemory)
    connection.executescript(script)
    return connection


class SqlPart(ResourcesPart, Part):
    def fake_sql(self, databases: Mapping[str, Any]) -> None:
        self._databases = dict(databases)
        self._transactions = 0

    def opens(self, path: str) -> str | None:
        return "sqlite" if path in self._databases else super().opens(path)

    def sql_query(self, on: int, statement: str, parameters: str, /) -> SqlAnswer:
        return _query(self._database(on), statement, parameters)

    def sql_execute(self, on: int, statement: str, parameters: str, /) -> int:
        return _execute(self._database(on), statement, parameters)

    def sql_transaction_begin(self, on: int, /) -> int:
        database = self._database(on)
        if self._transactions >= TRANSACTIONS_MAX:
            fail("invalid", f"a run has at most {TRANSACTIONS_MAX} transactions at once")
        if isinstance(database, sqlite3.Connection):
            if database.in_transaction:
                fail("unavailable", "the database is locked by another transaction")
            database.execute("BEGIN")
        self._transactions += 1
        return self._hold(database)

    def sql_transaction_query(self, transaction: int, statement: str, parameters: str, /) -> SqlAnswer:
        return _query(self._running(transaction), statement, parameters)

    def sql_transaction_execute(self, transaction: int, statement: str, parameters: str, /) -> int:
        return _execute(self._running(transaction), statement, parameters)

    def sql_transaction_commit(self, transaction: int, /) -> None:
        self._end(transaction, "COMMIT")

    def sql_transaction_rollback(self, transaction: int, /) -> None:
        self._end(transaction, "ROLLBACK")

    def sql_transaction_drop(self, transaction: int, /) -> None:
        if transaction in self._handles:
            self._end(transaction, "ROLLBACK")

    def _database(self, on: int) -> Any:
        path = self._handles[on][0]
        if path not in self._databases:
            fail("denied", f'the database {path} is not faked: say Fakes(sql={{"{path}": sandmill.testing.sqlite("CREATE TABLE …")}})')
        return self._databases[path]

    def _running(self, transaction: int) -> Any:
        if transaction not in self._handles:
            fail("invalid", "the transaction has ended")
        return self._handles[transaction]

    def _end(self, transaction: int, how: str) -> None:
        database = self._running(transaction)
        self._drop(transaction)
        self._transactions -= 1
        if isinstance(database, sqlite3.Connection) and database.in_transaction:
            _run(database, how, ())


def _query(database: Any, statement: str, parameters: str) -> SqlAnswer:
    if not isinstance(database, sqlite3.Connection):
        rows = database(statement, json.loads(parameters))
        if isinstance(rows, int):
            fail("invalid", "the fake of this database returned a number, and a query has rows")
        plain = json.loads(to_json(list(rows)))
        return [(name, "") for name in (plain[0] if plain else ())], _bounded(plain)
    cursor = _statement(database, statement, parameters)
    names = [column[0] for column in cursor.description or ()]
    if len(set(names)) < len(names):
        fail("invalid", "two columns have the same name: give one another with AS")
    try:
        rows = cursor.fetchmany(ROWS_MAX + 1)
    except sqlite3.Error as error:
        _database_error(error)
    return [(name, "") for name in names], _bounded([dict(zip(names, map(_plain, row), strict=True)) for row in rows])


def _bounded(rows: list[Any]) -> str:
    text = to_json(rows)
    if len(rows) > ROWS_MAX or len(text.encode()) > ANSWER_BYTES_MAX:
        fail("too-large", f"an answer has at most {ROWS_MAX} rows and {ANSWER_BYTES_MAX} bytes")
    return text


def _execute(database: Any, statement: str, parameters: str) -> int:
    if isinstance(database, sqlite3.Connection):
        return max(_statement(database, statement, parameters).rowcount, 0)
    count = database(statement, json.loads(parameters))
    return count if isinstance(count, int) else len(count)


def _statement(database: sqlite3.Connection, statement: str, parameters: str) -> sqlite3.Cursor:
    if _FORBIDDEN.match(statement):
        fail("invalid", "statements that begin or end transactions or change the session are not run: use transaction()")
    text = _TOKENS.sub(lambda match: match[1] or (f":p{match[3]}" if match[3] else ""), statement)
    values = [to_json(value) if isinstance(value, list | dict) else value for value in json.loads(parameters)]
    numbered = any(match[3] for match in _TOKENS.finditer(statement))
    return _run(database, text, {f"p{number}": value for number, value in enumerate(values, 1)} if numbered else values)


def _run(database: sqlite3.Connection, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> sqlite3.Cursor:
    try:
        return database.execute(statement, values)
    except (sqlite3.ProgrammingError, OverflowError) as error:
        fail("invalid", str(error))
    except sqlite3.Error as error:
        _database_error(error)


def _database_error(error: sqlite3.Error) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", 1)
    fail("database", str(error), json.dumps({"code": str(code), "message": str(error)}))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and abs(value) > _EXACT_MAX:
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
