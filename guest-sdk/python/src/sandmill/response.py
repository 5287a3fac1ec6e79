"""An HTTP answer: what `sandmill.http` gets, and what `main` may return."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HeadersLike = Mapping[str, str] | Iterable[tuple[str, str]]


class Headers:
    """Header fields in their order. Names are compared without regard to case; one name may be there many times."""

    def __init__(self, fields: HeadersLike = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._fields = [(str(name).lower(), str(value)) for name, value in pairs]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The values of a name, joined with commas."""
        return ", ".join(values) if (values := self.get_all(name)) else default

    def get_all(self, name: str) -> list[str]:
        return [value for other, value in self._fields if other == name.lower()]

    def set(self, name: str, value: str) -> None:
        """In the place of all of that name."""
        self.remove(name)
        self._fields.append((name.lower(), value))

    def remove(self, name: str) -> None:
        self._fields = [field for field in self._fields if field[0] != name.lower()]

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields)

    def __getitem__(self, name: str) -> str:
        if (value := self.get(name)) is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Response:
    """An HTTP answer. As the result of `main` it is the answer to whoever asked.

    Args:
        body: Text, bytes, or `None` for no body. Text has the type `text/plain` if no header says another.
        status: 200 to 599.
        headers: Fields. The host leaves out those that are not a script's to set.
        url: Of the request that it answers, after redirects.
    """

    def __init__(self, body: str | bytes | None = None, status: int = 200, headers: HeadersLike | Headers = (), *, url: str = "") -> None:
        self.status = status
        self.headers = Headers(headers)
        self.url = url
        self.content = body.encode() if isinstance(body, str) else bytes(body or b"")
        if isinstance(body, str) and "content-type" not in self.headers:
            self.headers.set("content-type", "text/plain; charset=utf-8")

    @classmethod
    def of_json(cls, value: Any, status: int = 200, headers: HeadersLike = ()) -> "Response":
        """One whose body is the JSON of a value."""
        from sandmill.results import to_json  # Results know answers, so this way round it has to wait.

        answer = cls(to_json(value).encode(), status, headers)
        if "content-type" not in answer.headers:
            answer.headers.set("content-type", "application/json")
        return answer

    @classmethod
    def redirect(cls, url: str, status: int = 302) -> "Response":
        return cls(None, status, {"location": url})

    @property
    def ok(self) -> bool:
        """A status from 200 to 299."""
        return 200 <= self.status < 300

    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.content)

    def to_plain(self) -> dict[str, Any]:
        """What stands below `$http`: `{"status", "headers", "body"}`, with `body_base64` for a body that is no UTF-8."""
        names = dict.fromkeys(name for name, _ in self.headers)
        # Values of one name can be joined, but those of one header.
        headers: dict[str, Any] = {name: self.headers[name] for name in names if name != "set-cookie"}
        if cookies := self.headers.get_all("set-cookie"):
            headers["set-cookie"] = cookies[0] if len(cookies) == 1 else cookies
        try:
            return {"status": self.status, "headers": headers, "body": self.content.decode()}
        except UnicodeDecodeError:
            return {"status": self.status, "headers": headers, "body_base64": base64.b64encode(self.content).decode()}

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.content)} bytes>"
