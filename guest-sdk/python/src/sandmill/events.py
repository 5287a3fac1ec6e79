"""Events, as a `preprocessor` gets them."""

from typing import Any, Literal, NotRequired, TypedDict


class TriggerEvent(TypedDict):
    """What every event has. The page of each kind of trigger says what else there is: take a `TypedDict` of this one's, or `dict`."""

    kind: str
    trigger: str | None
    """Path of the trigger; `None` for a script's own URL."""
    body: Any
    """The payload: parsed where it is JSON, a string where it is other text, else base64; `None` if there is none."""
    raw: str | None
    """The payload as text, byte for byte; `None` where it is not UTF-8."""
    encoding: NotRequired[Literal["base64"]]
    """There if `body` is base64."""


class HttpEvent(TriggerEvent):
    """That of an HTTP trigger."""

    method: str
    path: str
    query: dict[str, str | list[str]]
    """A name that is there more than once has a list."""
    headers: dict[str, str]
    """Names are lower-case; the caller's credentials are missing."""
    params: NotRequired[dict[str, str]]
    """Of routes: what the pattern names."""
    route: NotRequired[str | None]
    """Of routes: the pattern."""
