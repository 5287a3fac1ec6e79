"""Types that are objects with named fields: dataclasses, `TypedDict`, and the parameters of a function."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandmill._json import JsonError, Place
from sandmill._shapes.base import WRONG, Definitions, Inquiry, Schema, Shape
from sandmill._shapes.scalars import ChoiceShape

NO_DEFAULT: Any = object()


@dataclass(slots=True)
class Field:
    """A field or a parameter. Where it is not `required` and not there, whoever is called sees to its default."""

    name: str
    shape: Shape
    required: bool
    default: Any = NO_DEFAULT
    description: str | None = None

    def schema(self, definitions: Definitions) -> Schema:
        from sandmill.results import to_plain  # Results know answers of HTTP, and those no shapes.

        schema = dict(self.shape.schema(definitions))
        if self.description:
            schema["description"] = self.description
        if self.default is not NO_DEFAULT:
            # A default that JSON cannot say is still a default.
            with suppress(JsonError):
                schema["default"] = to_plain(self.default)
        return schema


def fields_schema(fields: list[Field], definitions: Definitions, description: str | None) -> Schema:
    schema: Schema = {"description": description} if description else {}
    schema["type"] = "object"
    schema["properties"] = {field.name: field.schema(definitions) for field in fields}
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema


def take_fields(fields: list[Field], value: Mapping[str, Any], at: Place, inquiry: Inquiry) -> dict[str, Any] | None:
    """The fields that are there; `None` if one is wrong or missing. All others are ignored."""
    taken: dict[str, Any] = {}
    wrong = False
    for field in fields:
        if field.name in value:
            item = field.shape.take(value[field.name], (at, field.name), inquiry)
            taken[field.name] = item
            wrong = wrong or item is WRONG
        elif field.required:
            inquiry.refuse((at, field.name), "is missing")
            wrong = True
    return None if wrong else taken


class ObjectShape(Shape):
    """A class of one's own. `fields` are set after it is made, since one may have the type itself."""

    kinds = frozenset({"object"})

    def __init__(self, name: str, make: Callable[..., Any], description: str | None) -> None:
        self.name = name
        self.fields: list[Field] = []
        self._make = make
        self._description = description

    def schema(self, definitions: Definitions) -> Schema:
        return definitions.refer(self, self.name, lambda: fields_schema(self.fields, definitions, self._description))

    def excludes(self, value: Any) -> bool:
        tags = (field for field in self.fields if isinstance(field.shape, ChoiceShape) and field.name in value)
        return any(tag.shape.excludes(value[tag.name]) for tag in tags)

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is not dict:
            return inquiry.refuse(at, "is not an object")
        taken = take_fields(self.fields, value, at, inquiry)
        if taken is None:
            return WRONG
        try:
            return self._make(**taken)
        except (ValueError, TypeError) as error:
            # What a `__post_init__` says of values that do not go together.
            return inquiry.refuse(at, f"is not accepted: {error}")


class DeferredShape(Shape):
    """A type under a name of its own (`type Tree = list[Tree]`), whose shape is set after it is made."""

    rank = 2

    def __init__(self, name: str) -> None:
        self.name = name
        self.target: Shape | None = None

    def schema(self, definitions: Definitions) -> Schema:
        target = self.target
        assert target is not None, "set by whoever made it"
        return definitions.refer(self, self.name, lambda: target.schema(definitions))

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        assert self.target is not None, "set by whoever made it"
        return self.target.take(value, at, inquiry)
