"""For scripts that were written for Windmill: its client's names for what is here.

A thin alias over `sandmill`, no more: paths are those of this workspace, grants hold, and of a resource one gets what is not secret.
Functions that are missing have nothing here that they could stand for.
"""

from collections.abc import Mapping
from typing import Any

from sandmill import context, output, runs, state, variables
from sandmill.errors import ChildError
from sandmill.resources import resource

__all__ = [
    "cancel_job",
    "get_job_status",
    "get_resource",
    "get_result",
    "get_state",
    "get_variable",
    "get_workspace",
    "run_script",
    "run_script_async",
    "run_script_by_path",
    "run_script_by_path_async",
    "set_progress",
    "set_state",
    "wait_job",
]

STATE_KEY = "state"
"""There is one state there; here it is this key of the script's."""


def get_variable(path: str) -> str:
    return variables.variable(path)


def get_resource(path: str, none_if_undefined: bool = False) -> dict[str, Any] | None:
    """The fields that are not secret."""
    from sandmill.errors import ResourceError

    try:
        return resource(path).fields
    except ResourceError as error:
        if none_if_undefined and error.code == "not-found":
            return None
        raise


def get_state() -> Any:
    return state.get(STATE_KEY)


def set_state(value: Any) -> None:
    state.set(STATE_KEY, value)


def run_script(
    path: str | None = None, hash_: str | None = None, args: Mapping[str, Any] | None = None, timeout: float | None = None, **_: Any
) -> Any:
    """Runs a script and waits for its result. `timeout` is in seconds. What else the client takes is ignored.

    Raises:
        ValueError: Without a path: scripts have no hash here, a version is `path@number`.
    """
    return wait_job(run_script_async(path, hash_, args), timeout)


def run_script_async(
    path: str | None = None, hash_: str | None = None, args: Mapping[str, Any] | None = None, scheduled_in_secs: float | None = None
) -> str:
    """Starts a script and returns the run's id."""
    if path is None or hash_ is not None:
        raise ValueError("say which script by its path: a version is path@number")
    return runs.start(path, args, delay_ms=None if scheduled_in_secs is None else scheduled_in_secs * 1000)


def run_script_by_path(path: str, args: Mapping[str, Any] | None = None, timeout: float | None = None, **_: Any) -> Any:
    return run_script(path, args=args, timeout=timeout)


def run_script_by_path_async(path: str, args: Mapping[str, Any] | None = None, scheduled_in_secs: float | None = None) -> str:
    return run_script_async(path, None, args, scheduled_in_secs)


def wait_job(job_id: str, timeout: float | None = None, **_: Any) -> Any:
    """The result of a run, once it has ended. `timeout` is in seconds."""
    return runs.wait(job_id, timeout_ms=None if timeout is None else timeout * 1000)


def get_result(job_id: str, assert_result_is_not_none: bool = True) -> Any:
    """The result of a run that has ended.

    Raises:
        ValueError: If it has not, or if there is no result and one is needed.
    """
    ended = runs.result(job_id)
    if ended is not None and isinstance(ended.error, ChildError):
        raise ended.error
    if ended is None or (ended.value is None and assert_result_is_not_none):
        raise ValueError(f"run {job_id} has no result")
    return ended.value


def get_job_status(job_id: str) -> str:
    """`COMPLETED` or `RUNNING`: whether it waits is not told."""
    return "RUNNING" if runs.result(job_id) is None else "COMPLETED"


def cancel_job(job_id: str, reason: str | None = None) -> str:
    runs.cancel(job_id)
    return job_id


def get_workspace() -> str:
    return context.workspace


def set_progress(value: float, job_id: str | None = None) -> None:
    """`value` from 0 to 100, of this run."""
    output.progress(value)
