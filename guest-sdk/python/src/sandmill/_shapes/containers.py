"""Types that hold others: lists, sets, tuples, objects by key, and unions."""

from collections.abc import Callable, Iterable
from typing import Any

from sandmill._json import Place, pointer
from sandmill._shapes.base import WRONG, Definitions, Inquiry, Schema, Shape, kind_of
from sandmill._shapes.scalars import AnyShape, FloatShape, IntShape, PlainShape

ARRAY = frozenset({"array"})
OBJECT = frozenset({"object"})


class ListShape(Shape):
    """`make` is the type: `list`, `set`, `frozenset`, `tuple`."""

    kinds = ARRAY
    name = "an array"

    def __init__(self, items: Shape, make: Callable[[Iterable[Any]], Any]) -> None:
        self._items = items
        self._make = make

    def schema(self, definitions: Definitions) -> Schema:
        schema = {"type": "array", "items": self._items.schema(definitions)}
        return {**schema, "uniqueItems": True} if self._make in (set, frozenset) else schema

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is not list:
            return inquiry.refuse(at, "is not an array")
        take = self._items.take
        taken = [take(item, (at, index), inquiry) for index, item in enumerate(value)]
        if any(item is WRONG for item in taken):
            return WRONG
        if self._make is list:
            return taken
        try:
            made = self._make(taken)
        except TypeError:
            return inquiry.refuse(at, "has elements that cannot be in a set")
        if isinstance(made, set | frozenset) and len(made) < len(taken):
            return inquiry.refuse(at, "has an element twice")
        return made


class TupleShape(Shape):
    kinds = ARRAY

    def __init__(self, items: list[Shape]) -> None:
        self._items = items
        self.name = f"an array of {len(items)}"

    def schema(self, definitions: Definitions) -> Schema:
        length = len(self._items)
        schema: Schema = {"type": "array", "minItems": length, "maxItems": length}
        return {**schema, "prefixItems": [item.schema(definitions) for item in self._items]} if length else schema

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is not list or len(value) != len(self._items):
            return inquiry.refuse(at, f"is not {self.name}")
        taken = tuple(shape.take(item, (at, index), inquiry) for index, (shape, item) in enumerate(zip(self._items, value, strict=True)))
        return WRONG if any(item is WRONG for item in taken) else taken


class DictShape(Shape):
    """Keys of JSON are strings; what a key is otherwise is made of one, and integers of their digits."""

    kinds = OBJECT
    name = "an object"

    def __init__(self, keys: Shape, values: Shape) -> None:
        self._keys = keys
        self._values = values

    def schema(self, definitions: Definitions) -> Schema:
        schema: Schema = {"type": "object", "additionalProperties": self._values.schema(definitions)}
        if isinstance(self._keys, IntShape):
            schema["propertyNames"] = {"pattern": "^-?[0-9]+$"}
        elif not isinstance(self._keys, PlainShape | AnyShape):
            schema["propertyNames"] = self._keys.schema(definitions)
        return schema

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        if type(value) is not dict:
            return inquiry.refuse(at, "is not an object")
        plain_keys = isinstance(self._keys, PlainShape)
        made: dict[Any, Any] = {}
        wrong = False
        for name, item in value.items():
            place = (at, name)
            key = name if plain_keys else self._keys.take(_integer(name) if isinstance(self._keys, IntShape) else name, place, inquiry)
            taken = self._values.take(item, place, inquiry)
            if key is WRONG or taken is WRONG:
                wrong = True
            elif key in made:
                wrong = inquiry.refuse(place, "is there twice: another name means the same key") is WRONG
            else:
                made[key] = taken
        return WRONG if wrong else made


def _integer(name: str) -> int | str:
    digits = name.removeprefix("-")
    # Python would take digits of all scripts, spaces and underscores, too.
    return int(name) if digits.isascii() and digits.isdigit() and len(digits) <= 1000 else name


class UnionShape(Shape):
    """The first that takes it, what is more special first: so text that is a date is a date in `date | str`."""

    def __init__(self, branches: list[Shape]) -> None:
        flat = [part for branch in branches for part in (branch.written if isinstance(branch, UnionShape) else [branch])]
        self.written: list[Shape] = flat
        self._branches: list[Shape] = sorted(flat, key=lambda branch: branch.rank)
        self.kinds = frozenset().union(*(branch.kinds for branch in flat))
        self.name = " or ".join(branch.name for branch in flat)
        self.rank = max(branch.rank for branch in flat)

    def schema(self, definitions: Definitions) -> Schema:
        schemas = [branch.schema(definitions) for branch in self.written]
        if any(not schema for schema in schemas):
            return {}
        # `["string", "null"]` is what forms are made of; anything more than a type needs anyOf.
        if all(schema.keys() == {"type"} for schema in schemas):
            return {"type": list(dict.fromkeys(schema["type"] for schema in schemas))}
        return {"anyOf": schemas}

    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        kind = kind_of(value)
        candidates = [branch for branch in self._branches if kind in branch.kinds and not branch.excludes(value)]
        if kind == "number" and len(candidates) > 1:
            # 3.0 is a float where both are possible.
            floats: list[Shape] = [branch for branch in candidates if isinstance(branch, FloatShape)]
            candidates = floats or candidates
        if not candidates:
            return inquiry.refuse(at, f"is not {self.name}")
        if len(candidates) == 1:
            return candidates[0].take(value, at, inquiry)
        return self._try(candidates, value, at, inquiry)

    def _try(self, candidates: list[Shape], value: Any, at: Place, inquiry: Inquiry) -> Any:
        faults = []
        for branch in candidates:
            if inquiry.tries_left <= 0:
                return inquiry.refuse(at, f"is not seen to be {self.name}: too much had to be tried")
            attempt = Inquiry(inquiry.tries_left)
            taken = branch.take(value, at, attempt)
            if taken is not WRONG:
                inquiry.tries_left = attempt.tries_left
                return taken
            inquiry.tries_left = attempt.tries_left - 1
            faults.append(attempt.faults)
        here = len(pointer(at))
        inside = [found for found in faults if all(len(fault.pointer) > here for fault in found)]
        if len(inside) == 1 and kind_of(value) in ("array", "object"):
            inquiry.faults.extend(inside[0])
            return WRONG
        return inquiry.refuse(at, f"is not {self.name}")
