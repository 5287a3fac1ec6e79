"""Structured log lines. What is printed lands in the same log."""

from typing import Any

from sandmill._host import current
from sandmill.results import to_json


def _write(level: str, message: str, fields: dict[str, Any] | None) -> None:
    current().log_write(level, message, to_json(fields) if fields else None)


def trace(message: str, fields: dict[str, Any] | None = None) -> None:
    _write("trace", message, fields)


def debug(message: str, fields: dict[str, Any] | None = None) -> None:
    _write("debug", message, fields)


def info(message: str, fields: dict[str, Any] | None = None) -> None:
    _write("info", message, fields)


def warn(message: str, fields: dict[str, Any] | None = None) -> None:
    _write("warn", message, fields)


def error(message: str, fields: dict[str, Any] | None = None) -> None:
    _write("error", message, fields)
