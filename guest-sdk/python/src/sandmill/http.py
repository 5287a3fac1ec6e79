"""Requests over HTTP. Granted by origin, methods and path: `[grants] http = ["GET,POST https://api.example.com/v1"]`.

What goes wrong on the way is an `HttpError`; an answer of any status is none: look at `response.ok`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from sandmill._host import refused_as
from sandmill.errors import HttpError
from sandmill.response import Headers, HeadersLike, Response
from sandmill.results import to_json

__all__ = ["Headers", "Options", "Response", "delete", "get", "head", "patch", "post", "put", "request"]

REDIRECTS_MAX = 20
CHUNK_BYTES_MAX = 1024 * 1024

_MISSING: Any = object()


class Options(TypedDict, total=False):
    """What may be said of a request. At most one of `body`, `form` and `json`."""

    headers: HeadersLike
    query: Mapping[str, Any]
    """Goes behind the URL's own; lists are repeated."""
    body: str | bytes
    """Text goes as UTF-8 and `text/plain`, if no header says another type."""
    form: Mapping[str, Any]
    json: Any
    """Anything that has a JSON form, `None` among them."""
    timeout_ms: int
    """Until the answer begins; else the host's limits alone hold."""
    follow_redirects: bool
    """Else true: up to 20, each of which needs a grant as any request does."""


def request(method: str, url: str, **options: Unpack[Options]) -> Response:
    """Sends a request and reads the answer.

    Raises:
        HttpError: With the code that `wasi:http` has for what went wrong, e.g. `HTTP-request-denied` (then it is `Denied`, too).
        ValueError: If there is more than one body, or a URL without `http` and a host.
    """
    headers = Headers(options.get("headers", ()))
    body = _body(options, headers)
    if query := options.get("query"):
        parts = urlsplit(url)
        url = urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(query, doseq=True)]))))
    method = method.upper()
    for _ in range(REDIRECTS_MAX + 1):
        answer = _send(method, url, headers, body, options.get("timeout_ms"))
        location = answer.headers.get("location") if answer.status in (301, 302, 303, 307, 308) else None
        if location is None or not options.get("follow_redirects", True):
            return answer
        if (answer.status == 303 and method not in ("GET", "HEAD")) or (answer.status in (301, 302) and method == "POST"):
            method, body = "GET", None
            _without(headers, "content-type", "content-encoding", "content-language", "content-location", "content-length")
        target = urljoin(url, location)
        if _origin(target) != _origin(url):
            _without(headers, "authorization", "cookie", "proxy-authorization")
        url = target
    raise HttpError("loop-detected", f"more than {REDIRECTS_MAX} redirects")


def get(url: str, **options: Unpack[Options]) -> Response:
    return request("GET", url, **options)


def head(url: str, **options: Unpack[Options]) -> Response:
    return request("HEAD", url, **options)


def post(url: str, **options: Unpack[Options]) -> Response:
    return request("POST", url, **options)


def put(url: str, **options: Unpack[Options]) -> Response:
    return request("PUT", url, **options)


def patch(url: str, **options: Unpack[Options]) -> Response:
    return request("PATCH", url, **options)


def delete(url: str, **options: Unpack[Options]) -> Response:
    return request("DELETE", url, **options)


def _body(options: Options, headers: Headers) -> bytes | None:
    bodies: Mapping[str, Any] = options
    given = [name for name in ("body", "form", "json") if bodies.get(name, _MISSING) is not _MISSING]
    if not given:
        return None
    if len(given) > 1:
        raise ValueError(f"a request has one body: not {' and '.join(given)}")
    value = bodies[given[0]]
    if given[0] == "json":
        media_type, data = "application/json", to_json(value).encode()
    elif given[0] == "form":
        media_type, data = "application/x-www-form-urlencoded", urlencode(value, doseq=True).encode()
    elif isinstance(value, str):
        media_type, data = "text/plain; charset=utf-8", value.encode()
    else:
        return bytes(value)
    if "content-type" not in headers:
        headers.set("content-type", media_type)
    return data


def _send(method: str, url: str, headers: Headers, body: bytes | None, timeout_ms: int | None) -> Response:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the URL of a request begins with http:// or https:// and has a host")
    url = urlunsplit(parts._replace(fragment=""))
    with refused_as(HttpError) as host:
        status, fields, reader = host.http_send(method, url, headers.items(), body, timeout_ms)
        try:
            chunks = []
            while (chunk := host.http_body_read(reader, CHUNK_BYTES_MAX)) is not None:
                chunks.append(chunk)
        finally:
            host.http_body_drop(reader)
    return Response(b"".join(chunks), status, fields, url=url)


def _without(headers: Headers, *names: str) -> None:
    for name in names:
        headers.remove(name)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
