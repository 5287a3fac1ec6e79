"""The seam: who answers, and how what they say becomes values and errors."""

import support  # noqa: F401  # isort: skip

import inspect
import logging
import sys
import unittest
from types import ModuleType
from typing import Any
from unittest import mock

import sandmill
from sandmill import _host, blob, context, http, log, output, publish, resource, runs, secret, sql, state, variable
from sandmill.testing import Fakes


class Failure(Exception):
    pass


class Recording(ModuleType):
    """Notes what it is asked, and answers what it was told to."""

    Failure = Failure

    def __init__(self, **answers: Any) -> None:
        super().__init__("_sandmill_host")
        self.asked: list[tuple[Any, ...]] = []
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            answer = self._answers.get(name)
            if isinstance(answer, list) and name.endswith("_read"):
                return answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return function


def provided(**answers: Any) -> Any:
    return mock.patch.dict(sys.modules, {"_sandmill_host": Recording(**answers)})


FACTS = ("a", 2, 1_000, None)

# What is called, what the host answers, what it was asked, what comes back.
CALLS: list[tuple[Any, dict[str, Any], list[tuple[Any, ...]], Any]] = [
    (lambda: state.get("k"), {"state_get": '{"a":1}'}, [("state_get", "k")], {"a": 1}),
    (lambda: state.get("k", 7), {}, [("state_get", "k")], 7),
    (lambda: state.set("k", {1}), {}, [("state_set", "k", "[1]")], None),
    (lambda: state.delete("k"), {}, [("state_delete", "k")], None),
    (
        lambda: state.compare_and_swap("k", state.ABSENT, None),
        {"state_compare_and_swap": True},
        [("state_compare_and_swap", "k", None, "null")],
        True,
    ),
    (lambda: state.list("a", after="b", limit=5000), {"state_list": ["c"]}, [("state_list", "a", "b", 1000)], ["c"]),
    (lambda: variable("f/a/b"), {"variables_get": "x"}, [("variables_get", "f/a/b")], "x"),
    (lambda: secret("f/a/b"), {"variables_placeholder": "{{x}}"}, [("variables_placeholder", "f/a/b")], "{{x}}"),
    (
        lambda: resource("r").type,
        {"resources_open": 7, "resources_kind": "http"},
        [("resources_open", "r"), ("resources_kind", 7), ("resources_drop", 7)],
        "http",
    ),
    (
        lambda: resource("r").fields,
        {"resources_open": 7, "resources_fields": "{}"},
        [("resources_open", "r"), ("resources_fields", 7), ("resources_drop", 7)],
        {},
    ),
    (
        lambda: sql("r").query("SELECT", [float("inf"), b"\0"]),
        {"resources_open": 7, "sql_query": ([("a", "int8")], '[{"a":1}]')},
        [("resources_open", "r"), ("sql_query", 7, "SELECT", '["inf","AA=="]'), ("resources_drop", 7)],
        [{"a": 1}],
    ),
    (lambda: sql("r").execute("X"), {"sql_execute": 2}, [("resources_open", "r"), ("sql_execute", None, "X", "[]"), ("resources_drop", None)], 2),
    (
        lambda: publish("r", "orders", {"a": 1}, headers={"a": "1", "b": ["2", "3"]}, id="7", kept=True),
        {"resources_open": 7, "publish_publish": '{"sequence":1}'},
        [
            ("resources_open", "r"),
            ("publish_publish", 7, ("orders", b'{"a":1}', [("a", "1"), ("b", "2"), ("b", "3")], "7", True)),
            ("resources_drop", 7),
        ],
        {"sequence": 1},
    ),
    (
        lambda: publish(resource("r"), "a", "ä"),
        {"resources_open": 7, "publish_publish": "{}"},
        [("resources_open", "r"), ("publish_publish", 7, ("a", b"\xc3\xa4", [], None, False)), ("resources_drop", 7)],
        {},
    ),
    (
        lambda: blob.put("a", ["x", b"y"]).size,
        {"blob_put": 3, "blob_writer_finish": FACTS},
        [("blob_put", "a", None), ("blob_writer_write", 3, b"x"), ("blob_writer_write", 3, b"y"), ("blob_writer_finish", 3), ("blob_writer_drop", 3)],
        2,
    ),
    (
        lambda: blob.get("a").text(),  # type: ignore[union-attr]
        {"blob_get": 3, "blob_reader_info": FACTS, "blob_reader_read": [b"x", b"y", None]},
        [("blob_get", "a"), ("blob_reader_info", 3), *[("blob_reader_read", 3, 1024 * 1024)] * 3, ("blob_reader_drop", 3)],
        "xy",
    ),
    (lambda: blob.delete("a"), {}, [("blob_delete", "a")], None),
    (lambda: [info.key for info in blob.list("a")], {"blob_list": [FACTS]}, [("blob_list", "a", None, 1000)], ["a"]),
    (
        lambda: runs.start("f/a", {"a": 1}, delay_ms=1.5, priority=1, tag="t", key="k"),
        {"runs_start": "id"},
        [("runs_start", "f/a", '{"a":1}', 2, 1, "t", "k")],
        "id",
    ),
    (lambda: runs.wait("id"), {"runs_wait": ("json", "1")}, [("runs_wait", "id", None)], 1),
    (
        lambda: runs.wait(["a"], timeout_ms=5),
        {"runs_wait_many": ["a"], "runs_wait": ("skipped",)},
        [("runs_wait_many", ["a"], "all", 5), ("runs_wait", "a", 0)],
        [None],
    ),
    (lambda: runs.any(["a", "b"]), {"runs_wait_many": ["b"]}, [("runs_wait_many", ["a", "b"], "any", None)], ["b"]),
    (lambda: runs.result("a"), {}, [("runs_get_result", "a")], None),
    (lambda: runs.cancel("a"), {"runs_cancel": True}, [("runs_cancel", "a")], True),
    (lambda: log.warn("m", {"a": 1}), {}, [("log_write", "warn", "m", '{"a":1}')], None),
    (lambda: output.progress(50), {}, [("output_progress", 50.0, "")], None),
    (lambda: output.write("ä"), {}, [("output_write", b"\xc3\xa4")], None),
    (lambda: context.attempt, {"context_get": ("i", "s", "v", "w", None, 2, 0, "u")}, [("context_get",)], 2),
    (lambda: context.payload(), {"context_payload": b"x"}, [("context_payload",)], b"x"),
    (
        lambda: http.post("https://a/b#c", json=1, timeout_ms=5).text(),
        {"http_send": (200, [("a", "b")], 9), "http_body_read": [b"ok", None]},
        [
            ("http_send", "POST", "https://a/b", [("content-type", "application/json")], b"1", 5),
            *[("http_body_read", 9, 1024 * 1024)] * 2,
            ("http_body_drop", 9),
        ],
        "ok",
    ),
]  # fmt: skip

REFUSALS: list[tuple[Any, str, type[sandmill.HostError]]] = [
    (lambda: state.get("k"), "state_get", sandmill.StateError),
    (lambda: variable("p"), "variables_get", sandmill.VariableError),
    (lambda: resource("p"), "resources_open", sandmill.ResourceError),
    (lambda: sql("p").query("x"), "sql_query", sandmill.SqlError),
    (lambda: publish("p", "x", b""), "publish_publish", sandmill.PublishError),
    (lambda: blob.stat("p"), "blob_stat", sandmill.BlobError),
    (lambda: runs.start("p"), "runs_start", sandmill.RunsError),
    (lambda: http.get("http://a"), "http_send", sandmill.HttpError),
]


class HostTest(unittest.TestCase):
    def test_what_a_host_is_asked(self) -> None:
        for call, answers, asked, result in CALLS:
            with self.subTest(asked[0][0]), provided(**answers):
                self.assertEqual(call(), result)
                self.assertEqual(sys.modules["_sandmill_host"].asked, asked)

    def test_failures_are_errors_of_the_interface(self) -> None:
        for call, function, kind in REFUSALS:
            for code, is_denied in [("denied", True), ("HTTP-request-denied", True), ("unavailable", False)]:
                failure = Failure(code, "why", '{"a":1}')
                with self.subTest(function, code=code), provided(**{function: failure}), self.assertRaises(kind) as raised:
                    call()
                error = raised.exception
                self.assertEqual((error.code, error.message, error.details, error.name), (code, "why", {"a": 1}, kind.__name__))
                self.assertEqual(isinstance(error, sandmill.Denied), is_denied)

    def test_what_else_a_host_raises_passes(self) -> None:
        with provided(state_get=RuntimeError("not at the top level")), self.assertRaisesRegex(RuntimeError, "top level"):
            state.get("k")

    def test_fakes_go_before_the_host(self) -> None:
        with provided(state_get="1"):
            with Fakes(state={"k": 2}):
                self.assertEqual(state.get("k"), 2)
            self.assertEqual(state.get("k"), 1)

    def test_a_host_that_cannot_be_loaded_is_no_absent_one(self) -> None:
        def fails(name: str) -> None:
            raise ModuleNotFoundError("no module named inner", name="inner")

        with mock.patch.object(_host, "import_module", fails), self.assertRaises(ModuleNotFoundError):
            state.get("k")

    def test_nobody_is_there(self) -> None:
        for call, _, kind in REFUSALS:
            with self.assertRaisesRegex(sandmill.Denied, "Fakes") as raised:
                call()
            self.assertIn(type(raised.exception).__name__, (kind.__name__, "ResourceError"))
        with self.assertRaises(sandmill.Denied):
            _ = context.run_id
        with self.assertLogs("sandmill", logging.DEBUG) as logged:
            log.error("message", {"a": 1})
            log.debug("more")
        self.assertEqual(logged.output, ['ERROR:sandmill:message {"a":1}', "DEBUG:sandmill:more"])

    def test_the_fake_world_has_all_that_a_host_has(self) -> None:
        world = Fakes()._world
        for name, function in inspect.getmembers(_host.Host, inspect.isfunction):
            if not name.startswith("_"):
                given = inspect.signature(getattr(world, name))
                expected = [*inspect.signature(function).parameters.values()][1:]
                self.assertEqual([*given.parameters.values()], expected, name)
