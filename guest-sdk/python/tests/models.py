"""Types for the tests, in a module whose annotations are text."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Annotated, Generic, Literal, NewType, NotRequired, TypedDict, TypeVar

T = TypeVar("T")
CustomerId = NewType("CustomerId", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Shade(Enum):
    DARK = (0, 0)
    LIGHT = (1, 1)


class Level(Enum):
    LOW = 1
    HIGH = 2


@dataclass
class Tree:
    """A tree.

    Attributes:
        name: Of the node.
    """

    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Page(Generic[T]):
    items: list[T]
    following: Page[T] | None = None


@dataclass
class Period:
    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("it ends before it begins")


@dataclass
class Circle:
    kind: Literal["circle"]
    radius: float


@dataclass
class Square:
    kind: Literal["square"]
    side: float


@dataclass
class Left:
    child: Left | Right | None = None
    left: int = 0


@dataclass
class Right:
    child: Left | Right | None = None
    right: int = 0


class Options(TypedDict):
    loud: bool
    times: NotRequired[Annotated[int, "How often."]]


class Draft(TypedDict, total=False):
    title: str


def everything(tree: Tree, colour: Colour = Colour.RED, options: Options | None = None, *, page: Page[int] | None = None) -> None:
    """Takes all of it."""
