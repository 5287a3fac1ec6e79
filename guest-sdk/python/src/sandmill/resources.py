"""Resources: typed JSON objects at paths, some of whose fields are secret. Granted by path: `[grants] resources = ["f/demo/*"]`."""

import json
import weakref
from functools import cached_property
from typing import Any

from sandmill._host import current, refused_as
from sandmill.errors import ResourceError


class Resource:
    """A resource that is used without its secrets being seen. It ends with the run. `path` says where it is."""

    def __init__(self, path: str, handle: int) -> None:
        self.path = path
        self.handle = handle
        # At the end of the process the host drops it by itself.
        weakref.finalize(self, current().resources_drop, handle).atexit = False

    @cached_property
    def type(self) -> str:
        """Name of its type, e.g. `postgresql`."""
        with refused_as(ResourceError) as host:
            return host.resources_kind(self.handle)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Those that are not secret."""
        with refused_as(ResourceError) as host:
            fields: dict[str, Any] = json.loads(host.resources_fields(self.handle))
        return fields

    def placeholder(self, pointer: str) -> str:
        """Text that stands for the secret field at a JSON pointer, e.g. `/token`.

        The host puts the secret in its place in headers, query and body of requests that a grant lets use the resource
        (`http = ["POST https://api.example.com/ with f/demo/account"]`), and nowhere else.

        Raises:
            ResourceError: `invalid` if there is no such secret field.
        """
        with refused_as(ResourceError) as host:
            return host.resources_placeholder(self.handle, pointer)

    def __repr__(self) -> str:
        return f"Resource({self.path!r})"


def resource(path: str) -> Resource:
    """Opens the resource at a path.

    Raises:
        ResourceError: `denied`, `invalid`, `not-found` or `unavailable`.
    """
    with refused_as(ResourceError) as host:
        return Resource(path, host.resources_open(path))
