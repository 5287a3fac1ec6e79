"""Requests: answered by a function of the test, which sees the secrets in the place of what stands for them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sandmill._host import HttpHead
from sandmill.response import Headers, Response
from sandmill.testing._base import Part, denied, fail
from sandmill.testing._resources import ResourcesPart


@dataclass(frozen=True)
class Request:
    """A request as the server gets it."""

    method: str
    url: str
    headers: Headers
    body: bytes
    timeout_ms: int | None

    def json(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[Request], Any]


class HttpPart(ResourcesPart, Part):
    def fake_http(self, answers: Handler | Mapping[str, Any] | None) -> None:
        self._answers = answers
        self.requests: list[Request] = []

    def http_send(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, timeout_ms: int | None, /) -> HttpHead:
        for name, value in headers:
            if any(letter in name + value for letter in "\r\n\0"):
                fail("HTTP-protocol-error", "a header has a line break")
        request = self._revealed(Request(method, url, Headers(headers), body or b"", timeout_ms))
        self.requests.append(request)
        answer = self._answer(request)
        response = answer if isinstance(answer, Response) else Response.of_json(answer)
        return response.status, response.headers.items(), self._hold([response.content])

    def http_body_read(self, body: int, max: int, /) -> bytes | None:
        held: list[bytes] = self._handles[body]
        chunk, held[0] = held[0][:max], held[0][max:]
        return chunk or None

    def http_body_drop(self, body: int, /) -> None:
        self._drop(body)

    def _answer(self, request: Request) -> Any:
        answers = self._answers
        how = f'http={{"{request.method} {request.url.partition("?")[0]}": …}}'
        if answers is None:
            denied(f"{request.method} {request.url}", how, "HTTP-request-denied")
        if callable(answers):
            return answers(request)
        for url in (request.url, request.url.partition("?")[0]):
            if (key := f"{request.method} {url}") in answers:
                answer = answers[key]
                return answer(request) if callable(answer) else answer
        denied(f"{request.method} {request.url}", how, "HTTP-request-denied")

    def _revealed(self, request: Request) -> Request:
        url, body, fields = request.url, request.body, request.headers.items()
        for mark, text in self.texts_by_placeholder().items():
            escaped = quote(text, safe="")
            url = url.replace(mark, escaped).replace(quote(mark, safe=""), escaped).replace(quote(mark, safe=":"), escaped)
            body = body.replace(mark.encode(), text.encode()).replace(quote(mark, safe="").encode(), escaped.encode())
            fields = [(name, value.replace(mark, text)) for name, value in fields]
        return Request(request.method, url, Headers(fields), body, request.timeout_ms)
