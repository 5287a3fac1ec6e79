"""What a type of a parameter can do: describe itself as JSON Schema, and take a value of JSON.

Both come from one object, so that what the schema allows and what is taken cannot differ.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sandmill._json import Place, pointer
from sandmill.errors import Fault, InvalidArguments

Schema = dict[str, Any]

FAULTS_MAX = 1000
"""All faults are told, up to here: a value of a million wrong elements says nothing more by the rest."""

TRIES_MAX = 100_000
"""Branches of unions that one call tries in vain. Unions within unions could try 2^depth."""

KINDS = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
ALL_KINDS = frozenset(KINDS.values())


class Wrong:
    """What a shape gives for a value that it does not take; the inquiry has the faults."""


WRONG = Wrong()


class TooMany(Exception):
    """The faults are so many that it is enough."""


class Inquiry:
    """One conversion: what was found wrong in it, and what it may still try."""

    def __init__(self, tries_max: int = TRIES_MAX) -> None:
        self.faults: list[Fault] = []
        self.tries_left = tries_max

    def refuse(self, at: Place, message: str) -> Wrong:
        self.faults.append(Fault(pointer(at), message))
        if len(self.faults) >= FAULTS_MAX:
            raise TooMany
        return WRONG

    def done(self) -> None:
        """
        Raises:
            InvalidArguments: If anything was wrong.
        """
        if self.faults:
            raise InvalidArguments(self.faults)


class Definitions:
    """`$defs` of a schema, filled as shapes with a name are met."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names: dict[int, str] = {}

    def refer(self, shape: "Shape", name: str, describe: Callable[[], Schema]) -> Schema:
        """A reference to the definition of a shape, which is made at the first one. It may contain itself."""
        if id(shape) not in self._names:
            unique = name
            number = 2
            while unique in self.schemas:
                unique, number = f"{name}{number}", number + 1
            self._names[id(shape)] = unique
            self.schemas[unique] = {}
            self.schemas[unique] = describe()
        return {"$ref": f"#/$defs/{self._names[id(shape)]}"}


class Shape(ABC):
    """`kinds` are the kinds of JSON that it may take; `rank` says who goes first in a union, what is more special has a smaller one."""

    kinds: frozenset[str] = ALL_KINDS
    rank: int = 1
    name: str = "a value"

    @abstractmethod
    def schema(self, definitions: Definitions) -> Schema: ...

    @abstractmethod
    def take(self, value: Any, at: Place, inquiry: Inquiry) -> Any:
        """The value of Python for one of JSON, or `WRONG`. `value` is known to be JSON, of bounded depth."""

    def excludes(self, value: Any) -> bool:
        """Whether a glance tells that it is not taken, although its kind is: by the tag of an object."""
        return False


def kind_of(value: Any) -> str:
    return KINDS[type(value)]
