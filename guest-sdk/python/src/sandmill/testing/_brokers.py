"""Brokers: functions of the test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandmill._host import Message
from sandmill.results import to_json
from sandmill.testing._base import Part, denied, fail
from sandmill.testing._resources import ResourcesPart

PAYLOAD_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class SentMessage:
    """A message, and the path of the resource that it was sent over. `headers` has a list for each name."""

    path: str
    to: str
    payload: bytes
    headers: dict[str, list[str]]
    id: str | None
    kept: bool

    @property
    def text(self) -> str:
        """The payload as UTF-8."""
        return self.payload.decode(errors="replace")


Broker = Callable[[SentMessage], Any]


class BrokersPart(ResourcesPart, Part):
    def fake_brokers(self, brokers: Mapping[str, Broker]) -> None:
        self._brokers = dict(brokers)
        self.messages: list[SentMessage] = []

    def opens(self, path: str) -> str | None:
        return "nats" if path in self._brokers else super().opens(path)

    def publish_publish(self, via: int, message: Message, /) -> str:
        path = self._handles[via][0]
        if path not in self._brokers:
            denied(f"the broker {path}", f'brokers={{"{path}": lambda message: {{}}}}')
        to, payload, pairs, id, kept = message
        if len(payload) > PAYLOAD_BYTES_MAX:
            fail("too-large", f"a message has at most {PAYLOAD_BYTES_MAX} bytes")
        headers: dict[str, list[str]] = {}
        for name, value in pairs:
            headers.setdefault(name, []).append(value)
        sent = SentMessage(path, to, payload, headers, id, kept)
        self.messages.append(sent)
        said = self._brokers[path](sent)
        return to_json({} if said is None else said)
