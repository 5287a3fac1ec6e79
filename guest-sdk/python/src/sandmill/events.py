"""Events, as a `preprocessor` gets them."""

from typing import Any, TypedDict


class HttpEvent(TypedDict):
    """That of an HTTP trigger."""

    kind: str
    body: Any
    raw: str
    query: dict[str, str | list[str]]
    headers: dict[str, str]
    method: str
    path: str
    params: dict[str, str]
    route: str | None
    trigger: Any
