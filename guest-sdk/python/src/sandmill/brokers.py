"""Messages to brokers, over resources that describe them. Granted by the resource's path: `[grants] publish = ["f/demo/broker"]`."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandmill._host import refused_as
from sandmill._json import loads
from sandmill.errors import PublishError
from sandmill.resources import Resource, resource
from sandmill.results import to_json


def publish(
    via: Resource | str,
    to: str,
    payload: Any,
    *,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    id: str | None = None,
    kept: bool = False,
) -> Any:
    """Sends a message over a resource of a broker, e.g. of the type `nats`, and returns what the broker said, e.g. `{"stream", "sequence",
    "duplicate"}`. It returns once the broker has the message, as far as it says so.

    Args:
        via: The resource, or where it is.
        to: Subject, topic, queue: as the broker calls it.
        payload: Text and bytes go as they are, anything else as JSON.
        headers: A list is a header several times.
        id: By it the broker knows a repetition; only a broker that keeps messages does.
        kept: Whether it returns only once the broker says that it keeps the message, and raises if nothing there does.

    Raises:
        ResourceError: If the resource cannot be opened.
        PublishError: What the broker or the host says.
    """
    opened = via if isinstance(via, Resource) else resource(via)
    message = (to, _payload(payload), _headers(headers or {}), id, kept)
    with refused_as(PublishError) as host:
        return loads(host.publish_publish(opened.handle, message))


def _payload(payload: Any) -> bytes:
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return (payload if isinstance(payload, str) else to_json(payload)).encode()


def _headers(headers: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, values in headers.items() for value in ([values] if isinstance(values, str) else values)]
