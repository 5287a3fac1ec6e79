"""Variables and resources. Secrets are seen by nobody but the handler of requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandmill.results import to_json
from sandmill.testing._base import Part, denied, fail, placeholder


@dataclass
class FakeResource:
    """A resource of a type. `secrets` are the texts of its secret fields by JSON pointer: `{"/token": "abc"}`."""

    type: str = "object"
    fields: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


class ResourcesPart(Part):
    def fake_variables(self, variables: Mapping[str, str | None], secrets: Mapping[str, str], *, readable: bool) -> None:
        self._variables = dict(variables)
        self._secrets = dict(secrets)
        self._readable = readable

    def fake_resources(self, resources: Mapping[str, FakeResource | Mapping[str, Any] | None]) -> None:
        self._resources = {path: FakeResource(fields=given) if isinstance(given, Mapping) else given for path, given in resources.items()}

    def texts_by_placeholder(self) -> dict[str, str]:
        """Secrets and what stands for them."""
        texts = {placeholder(path): text for path, text in self._secrets.items()}
        for path, resource in self._resources.items():
            for pointer, text in resource.secrets.items() if resource else ():
                texts[placeholder(path, pointer)] = text
        return texts

    def variables_get(self, path: str, /) -> str:
        if path in self._secrets:
            if not self._readable:
                denied(f"reading the text of the secret variable {path}", "readable_secrets=True")
            return self._secrets[path]
        if path not in self._variables:
            denied(f"the variable {path}", f'variables={{"{path}": "…"}}')
        text = self._variables[path]
        if text is None:
            fail("not-found", f"there is no variable at {path}")
        return text

    def variables_placeholder(self, path: str, /) -> str:
        if path in self._secrets:
            return placeholder(path)
        if path in self._variables:
            self.variables_get(path)
            fail("invalid", f"the variable {path} is not secret")
        denied(f"the secret variable {path}", f'secrets={{"{path}": "…"}}')

    def opens(self, path: str) -> str | None:
        """The type of what a grant of another kind opens; `None` if none covers it."""
        return None

    def resources_open(self, path: str, /) -> int:
        type = self.opens(path)
        if path not in self._resources and type is None:
            denied(f"the resource {path}", f'resources={{"{path}": {{…}}}}')
        found = self._resources.get(path, FakeResource(type or "object"))
        if found is None:
            fail("not-found", f"there is no resource at {path}")
        return self._hold((path, found))

    def resources_kind(self, handle: int, /) -> str:
        return str(self._handles[handle][1].type)

    def resources_fields(self, handle: int, /) -> str:
        return to_json(self._handles[handle][1].fields)

    def resources_placeholder(self, handle: int, pointer: str, /) -> str:
        path, resource = self._handles[handle]
        if pointer not in resource.secrets:
            fail("invalid", f"{path} has no secret field at {pointer}")
        return placeholder(path, pointer)

    def resources_drop(self, handle: int, /) -> None:
        self._drop(handle)
