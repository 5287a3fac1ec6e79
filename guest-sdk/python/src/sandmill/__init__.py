"""What a script on Sandmill can use.

    from sandmill import log, state

    def main(name: str, count: int = 3) -> list[str]:
        ...

Outside of Sandmill, `sandmill.testing` has fakes for all of it.
"""

from sandmill import blob, context, http, log, output, resources, runs, state, variables
from sandmill._json import JsonError
from sandmill.arguments import call, call_async, preprocess
from sandmill.brokers import publish
from sandmill.databases import sql
from sandmill.errors import (
    BlobError,
    ChildError,
    Denied,
    Error,
    Fault,
    HostError,
    HttpError,
    InvalidArguments,
    PublishError,
    ResourceError,
    RunsError,
    SqlError,
    StateError,
    VariableError,
)
from sandmill.events import HttpEvent, TriggerEvent
from sandmill.output import progress
from sandmill.resources import Resource, resource
from sandmill.response import Headers, Response
from sandmill.results import Binary, to_json, to_plain
from sandmill.signatures import UnsupportedType, schema_of
from sandmill.variables import secret, variable

__all__ = [
    "Binary",
    "BlobError",
    "ChildError",
    "Denied",
    "Error",
    "Fault",
    "Headers",
    "HostError",
    "HttpError",
    "HttpEvent",
    "InvalidArguments",
    "JsonError",
    "PublishError",
    "Resource",
    "ResourceError",
    "Response",
    "RunsError",
    "SqlError",
    "StateError",
    "TriggerEvent",
    "UnsupportedType",
    "VariableError",
    "blob",
    "call",
    "call_async",
    "context",
    "http",
    "log",
    "output",
    "preprocess",
    "progress",
    "publish",
    "resource",
    "resources",
    "runs",
    "schema_of",
    "secret",
    "sql",
    "state",
    "to_json",
    "to_plain",
    "variable",
    "variables",
]
