"""A wasi:http handler written against the bindings that componentize-py makes."""

import json
import time
from typing import Optional
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    ErrorCode_InternalError,
    Fields,
    IncomingRequest,
    Method_Other,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

# What `blocking-write-and-flush` takes at most.
WRITE_BYTES_MAX = 4096


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        url = urlsplit(request.path_with_query() or "/")
        match url.path.rstrip("/").rpartition("/")[2]:
            case "stream":
                stream(response_out, int(parse_qs(url.query).get("pause", ["0"])[0]))
            case "fail":
                raise ValueError("asked to fail")
            case "refuse":
                ResponseOutparam.set(response_out, Err(ErrorCode_InternalError("asked to refuse")))
            case "teapot":
                reply(response_out, 418, {"teapot": True})
            case _:
                reply(response_out, 200, echo(request, url.path, url.query))


def echo(request: IncomingRequest, path: str, query: str) -> object:
    """What arrived."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers().entries():
        headers.setdefault(name, []).append(value.decode(errors="replace"))
    text = read(request).decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    kind = request.method()
    method = kind.value if isinstance(kind, Method_Other) else type(kind).__name__.removeprefix("Method_").upper()
    print(f"serving {method} {path}")
    return {"language": "python", "method": method, "path": path, "query": query, "headers": headers, "body": body}


def read(request: IncomingRequest) -> bytes:
    chunks = []
    # The stream is a child of the body and must be gone before it.
    with request.consume() as body, body.stream() as chunk_stream:
        while True:
            try:
                chunks.append(chunk_stream.blocking_read(64 * 1024))
            except Err as end:
                if isinstance(end.value, StreamError_Closed):
                    return b"".join(chunks)
                raise


def stream(response_out: ResponseOutparam, pause_ms: int) -> None:
    """Five lines, `pause_ms` from each other."""

    def lines():
        for line in range(5):
            if line and pause_ms:
                time.sleep(pause_ms / 1000)
            yield f"line {line}\n".encode()

    respond(response_out, 200, "text/plain", lines())


def reply(response_out: ResponseOutparam, status: int, value: object) -> None:
    text = json.dumps(value).encode()
    respond(response_out, status, "application/json", (text[at : at + WRITE_BYTES_MAX] for at in range(0, len(text), WRITE_BYTES_MAX)))


def respond(response_out: ResponseOutparam, status: int, kind: str, chunks) -> None:
    headers = [("content-type", kind.encode()), ("x-made-by", b"componentize-py")]
    response = OutgoingResponse(Fields.from_list(headers))
    response.set_status_code(status)
    body = response.body()
    # Before the body: whoever asked reads while this writes.
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as out:
        for chunk in chunks:
            out.blocking_write_and_flush(chunk)
    trailers: Optional[Fields] = None
    OutgoingBody.finish(body, trailers)
