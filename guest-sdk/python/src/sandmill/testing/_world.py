"""The fake world as one host: its parts, and what needs no grant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandmill._host import ContextInfo
from sandmill.testing._blob import BlobPart
from sandmill.testing._brokers import BrokersPart
from sandmill.testing._http import HttpPart
from sandmill.testing._runs import RunsPart
from sandmill.testing._sql import SqlPart
from sandmill.testing._state import StatePart

RUN_MS = 60_000
"""How long a run may take, if its context says no deadline."""


@dataclass(frozen=True)
class LogLine:
    level: str
    message: str
    fields: dict[str, Any]


class World(StatePart, BlobPart, RunsPart, HttpPart, BrokersPart, SqlPart):
    """Has what `sandmill._host.Host` says."""

    def fake_context(self, fields: Mapping[str, Any], payload: bytes) -> None:
        known = {
            "run_id": "00000000-0000-7000-8000-000000000001",
            "script": "u/test/script",
            "version": f"sha256:{'0' * 64}",
            "workspace": "test",
            "trigger": None,
            "attempt": 1,
            "deadline": None,
            "run_as": "u/test",
        }
        if unknown := fields.keys() - known.keys():
            raise TypeError(f"the context has no {', '.join(sorted(unknown))}")
        self._context: dict[str, Any] = {**known, **fields}
        self._begun_ms = self.now_ms
        self._payload = payload
        self.logs: list[LogLine] = []
        self.progress: list[tuple[float, str]] = []
        self.output = bytearray()

    def context_get(self) -> ContextInfo:
        told = self._context
        trigger = None if told["trigger"] is None else (str(told["trigger"][0]), told["trigger"][1])
        deadline_ms = self._begun_ms + RUN_MS if told["deadline"] is None else round(told["deadline"].timestamp() * 1000)
        run_id, script, version, workspace = (str(told[name]) for name in ("run_id", "script", "version", "workspace"))
        return run_id, script, version, workspace, trigger, int(told["attempt"]), deadline_ms, str(told["run_as"])

    def context_payload(self) -> bytes:
        return self._payload

    def log_write(self, level: str, message: str, fields: str | None, /) -> None:
        self.logs.append(LogLine(level, message, {} if fields is None else json.loads(fields)))

    def output_progress(self, percent: float, text: str, /) -> None:
        self.progress.append((percent, text))

    def output_write(self, chunk: bytes, /) -> None:
        self.output.extend(chunk)
