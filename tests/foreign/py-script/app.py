"""A script for our own world, made by a toolchain that knows nothing of it."""

import json

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import log, state, types
from wit_world.imports.log import Level


class Main(exports.Main):
    def run(self, args: str) -> types.Output:
        given = json.loads(args)
        log.write(Level.INFO, "started by componentize-py", json.dumps({"keys": sorted(given)}))
        match given.get("mode", "count"):
            case "count":
                return types.Output_Json(json.dumps({"language": "python", "args": given, "count": count()}))
            case "bytes":
                return types.Output_Bytes(types.Binary("image/png", b"\x89PNG\r\n\x1a\n"))
            case "fail":
                raise Err(types.Error("ValueError", "asked to fail", None, json.dumps({"given": given})))
            case mode:
                # Not an error of the interface: the component traps.
                raise ValueError(f"there is no mode {mode}")


def count() -> int:
    """One more than the last time, however many count at once."""
    while True:
        before = state.get("count")
        after = 1 if before is None else json.loads(before) + 1
        if state.compare_and_swap("count", before, json.dumps(after)):
            return after
