"""Children: functions of the test, which run when they are started."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandmill._host import Ending
from sandmill.arguments import call
from sandmill.errors import InvalidArguments
from sandmill.guest import failure_of
from sandmill.results import output_of
from sandmill.testing._base import Part, denied, fail

CHILDREN_MAX = 1000


class _Pending:
    def __repr__(self) -> str:
        return "PENDING"


PENDING: Final = _Pending()
"""A child that does not end, unless it is cancelled."""


@dataclass(frozen=True)
class StartedRun:
    """What a script asked for."""

    id: str
    path: str
    args: dict[str, Any]
    delay_ms: int | None
    priority: int | None
    tag: str | None
    key: str | None


@dataclass
class Child:
    """`ending` is `None` until there is one."""

    run: StartedRun
    ending: Ending | None


class RunsPart(Part):
    def fake_runs(self, scripts: Mapping[str, Any]) -> None:
        self._scripts = dict(scripts)
        self._children: dict[str, Child] = {}
        self.started: list[StartedRun] = []

    def runs_start(self, path: str, args: str, delay_ms: int | None, priority: int | None, tag: str | None, key: str | None, /) -> str:
        script = self._script(path)
        arguments = json.loads(args)
        if not isinstance(arguments, dict):
            fail("invalid", "the arguments are a JSON object")
        if priority is not None and not -1000 <= priority <= 1000:
            fail("invalid", "a priority is from -1000 to 1000")
        if key is not None:
            if not 1 <= len(key) <= 255:
                fail("invalid", "a key has 1 to 255 characters")
            for child in self._children.values():
                if child.run.key == key:
                    return child.run.id
        if len(self._children) >= CHILDREN_MAX:
            fail("too-many", f"one attempt starts at most {CHILDREN_MAX} children")
        run = StartedRun(f"00000000-0000-7000-8000-{len(self._children) + 2:012x}", path, arguments, delay_ms, priority, tag, key)
        ending = _ending(script, arguments)
        self._children[run.id] = Child(run, ending)
        self.started.append(run)
        return run.id

    def runs_wait(self, run: str, timeout_ms: int | None, /) -> Ending:
        ending = self._child(run).ending
        if ending is None:
            fail("timeout", f"run {run} has not ended")
        return ending

    def runs_wait_many(self, runs: list[str], until: str, timeout_ms: int | None, /) -> list[str]:
        if not 1 <= len(runs) <= CHILDREN_MAX:
            fail("invalid", f"one waits for 1 to {CHILDREN_MAX} runs")
        return [run for run in runs if self._child(run).ending is not None]

    def runs_get_result(self, run: str, /) -> Ending | None:
        return self._child(run).ending

    def runs_cancel(self, run: str, /) -> bool:
        child = self._child(run)
        if child.ending is not None:
            return False
        child.ending = ("failed", "cancelled", "Cancelled", "the run was cancelled", None, None)
        return True

    def _script(self, path: str) -> Any:
        # A fake of the path serves all of its versions.
        for name in (path, path.partition("@")[0]):
            if name in self._scripts:
                return self._scripts[name]
        denied(f"the script {path}", f'runs={{"{path}": lambda …: …}}')

    def _child(self, run: str) -> Child:
        if run not in self._children:
            fail("not-found", f"this run has no child {run}")
        return self._children[run]


def _ending(script: Any, arguments: dict[str, Any]) -> Ending | None:
    if script is PENDING:
        return None
    try:
        if isinstance(script, BaseException):
            raise script
        return output_of(call(script, arguments) if callable(script) else script)
    except InvalidArguments as error:
        if not callable(script):
            raise
        fail("invalid-arguments", error.message, json.dumps(error.details))
    except Exception as error:
        failed = failure_of(error)
        return ("failed", "error", failed.name, failed.message, failed.stack, failed.details)
