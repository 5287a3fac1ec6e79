"""From annotations of Python to shapes."""

import collections.abc as abc
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, is_typeddict

from sandmill._enums import plain_of
from sandmill._shapes import docstrings
from sandmill._shapes.base import Shape
from sandmill._shapes.containers import DictShape, ListShape, TupleShape, UnionShape
from sandmill._shapes.names import UnsupportedType, resolve
from sandmill._shapes.objects import NO_DEFAULT, DeferredShape, Field, ObjectShape
from sandmill._shapes.scalars import SCALARS, AnyShape, ChoiceShape, NeverShape, PlainShape

NESTING_MAX = 64
"""Types within a type, names apart."""

_LISTS: dict[Any, Any] = {
    list: list, abc.Sequence: list, abc.MutableSequence: list, abc.Iterable: list, abc.Collection: list,
    set: set, abc.Set: set, abc.MutableSet: set, frozenset: frozenset,
}  # fmt: skip
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_QUALIFIERS = tuple(getattr(typing, name) for name in ("Required", "NotRequired", "ReadOnly", "Final") if hasattr(typing, name))

Scope = Mapping[str, Any]


class Builder:
    """Shapes of one function's parameters. Classes are built once, so that they may contain themselves."""

    def __init__(self) -> None:
        self._built: dict[Any, Shape] = {}
        self._nesting = 0

    def build(self, annotation: Any, scope: Scope) -> Shape:
        """
        Raises:
            UnsupportedType: If it has no JSON form.
        """
        self._nesting += 1
        try:
            if self._nesting > NESTING_MAX:
                raise UnsupportedType(f"types are nested more than {NESTING_MAX} levels deep")
            return self._build(annotation, scope)
        finally:
            self._nesting -= 1

    def _build(self, annotation: Any, scope: Scope) -> Shape:
        if isinstance(annotation, str):
            return self.build(resolve(annotation, scope), scope)
        if forward := getattr(annotation, "__forward_arg__", None):
            return self.build(resolve(forward, scope), scope)
        if isinstance(annotation, TypeVar):
            return self._type_variable(annotation, scope)
        try:
            if make := SCALARS.get(annotation):
                return make()
        except TypeError:
            raise UnsupportedType(f"{annotation!r} is no type") from None
        if annotation in (typing.Never, typing.NoReturn):
            return NeverShape()
        if annotation is getattr(typing, "LiteralString", ()):
            return PlainShape("string", 8)
        origin = get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, get_args(annotation), scope)
        return self._plain(annotation, scope)

    def _plain(self, annotation: Any, scope: Scope) -> Shape:
        if supertype := getattr(annotation, "__supertype__", None):  # NewType
            return self.build(supertype, scope)
        if hasattr(annotation, "__value__") and not isinstance(annotation, type):  # type X = ...
            return self._alias(annotation, annotation, scope)
        if not isinstance(annotation, type):
            raise UnsupportedType(f"{annotation!r} has no JSON form")
        if issubclass(annotation, Enum):
            return ChoiceShape.of_enum(annotation) if len(annotation) else NeverShape()
        if annotation in _LISTS:
            return self._list(AnyShape(), _LISTS[annotation])
        if annotation is tuple:
            return ListShape(AnyShape(), tuple)
        if annotation in _MAPPINGS:
            return PlainShape("object")
        if dataclasses.is_dataclass(annotation) or is_typeddict(annotation):
            return self._class(annotation, annotation, scope)
        raise UnsupportedType(f"`{annotation.__name__}` has no JSON form: make it a dataclass or a TypedDict")

    def _generic(self, annotation: Any, origin: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        if origin in (Union, types.UnionType):
            return UnionShape([self.build(arg, scope) for arg in args])
        if origin is Literal:
            return ChoiceShape([(plain_of(arg) if isinstance(arg, Enum) else _literal(arg), arg) for arg in args])
        if origin is Annotated or origin in _QUALIFIERS:
            return self.build(args[0], scope)
        if origin in _LISTS:
            return self._list(self.build(args[0], scope), _LISTS[origin])
        if origin is tuple:
            if len(args) == 2 and args[1] is ...:
                return ListShape(self.build(args[0], scope), tuple)
            return TupleShape([self.build(arg, scope) for arg in args])
        if origin in _MAPPINGS:
            return DictShape(self.build(args[0], scope), self.build(args[1], scope))
        if hasattr(origin, "__value__"):
            return self._alias(annotation, origin, self._with_variables(origin, args, scope))
        if isinstance(origin, type) and (dataclasses.is_dataclass(origin) or is_typeddict(origin)):
            if variables := getattr(annotation, "__parameters__", ()):
                # `Page[T]` within `Page[int]` is `Page[int]`, and the same class for each.
                return self.build(annotation[tuple(_known(variable, scope) for variable in variables)], scope)
            return self._class(annotation, origin, self._with_variables(origin, args, scope))
        raise UnsupportedType(f"{annotation!r} has no JSON form")

    @staticmethod
    def _list(items: Shape, make: Any) -> Shape:
        return PlainShape("array") if make is list and isinstance(items, AnyShape) else ListShape(items, make)

    def _type_variable(self, variable: TypeVar, scope: Scope) -> Shape:
        known = scope.get(_variable_key(variable))
        if known is not None:
            annotation, outer = known
            return self.build(annotation, outer)
        return self.build(variable.__bound__, scope) if variable.__bound__ is not None else AnyShape()

    @staticmethod
    def _with_variables(origin: Any, args: tuple[Any, ...], scope: Scope) -> Scope:
        # What an argument means is known out here only.
        variables: tuple[Any, ...] = getattr(origin, "__parameters__", ()) or getattr(origin, "__type_params__", ())
        return {**scope, **{_variable_key(variable): (arg, scope) for variable, arg in zip(variables, args, strict=False)}}

    def _alias(self, annotation: Any, alias: Any, scope: Scope) -> Shape:
        if annotation not in self._built:
            self._built[annotation] = deferred = DeferredShape(alias.__name__)
            deferred.target = self.build(alias.__value__, scope)
        return self._built[annotation]

    def _class(self, annotation: Any, cls: type, scope: Scope) -> Shape:
        if annotation in self._built:
            return self._built[annotation]
        docs = docstrings.read(None if _is_generated_doc(cls) else cls.__doc__)
        arguments = "_".join(getattr(arg, "__name__", "T") for arg in get_args(annotation))
        shape = ObjectShape("_".join(filter(None, [cls.__name__, arguments])), cls, docs.summary)
        self._built[annotation] = shape
        for name, hint, owner, default, note in _members(cls):
            try:
                inner = _scope_of(owner, scope)
                required = default is NO_DEFAULT
                if is_typeddict(cls):
                    hint, required = _qualified(hint, inner, name in cls.__required_keys__)  # type: ignore[attr-defined]
                    default = NO_DEFAULT
                field = Field(name, self.build(hint, inner), required, NO_DEFAULT if default is _MADE else default)
                field.description = note or description_of(hint, inner) or docs.fields.get(name)
            except UnsupportedType as error:
                raise UnsupportedType(f"{cls.__name__}.{name}: {error}") from None
            shape.fields.append(field)
        return shape


_MADE: Any = object()


def _members(cls: type) -> list[tuple[str, Any, type, Any, str | None]]:
    """Name, annotation, the class that has it, default (`_MADE` where it is made for each) and description of each field."""
    if is_typeddict(cls):
        return [(name, hint, cls, _MADE, None) for name, hint in inspect.get_annotations(cls).items()]
    members = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        owner = next((base for base in cls.__mro__ if field.name in inspect.get_annotations(base)), cls)
        default = field.default if field.default is not dataclasses.MISSING else NO_DEFAULT
        if field.default_factory is not dataclasses.MISSING:
            default = _empty_of(field.default_factory)
        note = field.metadata.get("description")
        members.append((field.name, field.type, owner, default, note if isinstance(note, str) else None))
    return members


def _empty_of(factory: Any) -> Any:
    """What a factory is known to make; others are not called to describe a type."""
    return factory() if factory in (list, dict) else _MADE


def _qualified(hint: Any, scope: Scope, required: bool) -> tuple[Any, bool]:
    """Takes `Required` and `NotRequired` off, which Python does not see inside of text."""
    while True:
        if isinstance(hint, str) or getattr(hint, "__forward_arg__", None):
            hint = resolve(hint if isinstance(hint, str) else hint.__forward_arg__, scope)
        if get_origin(hint) not in _QUALIFIERS:
            return hint, required
        if get_origin(hint) in (typing.Required, typing.NotRequired):
            required = get_origin(hint) is typing.Required
        hint = get_args(hint)[0]


def description_of(hint: Any, scope: Scope) -> str | None:
    """The first text of an `Annotated`."""
    if isinstance(hint, str) or getattr(hint, "__forward_arg__", None):
        hint = resolve(hint if isinstance(hint, str) else hint.__forward_arg__, scope)
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note for note in notes if isinstance(note, str)), None)


def _literal(value: Any) -> Any:
    if isinstance(value, bytes):
        raise UnsupportedType("a Literal of bytes has no JSON form")
    return value


def _scope_of(cls: type, outer: Scope) -> Scope:
    module = sys.modules.get(cls.__module__)
    own = {variable.__name__: variable for variable in getattr(cls, "__type_params__", ())}
    return {**outer, **(vars(module) if module else {}), cls.__name__: cls, **own}


def _variable_key(variable: Any) -> str:
    # No name of Python has a space, so none is hidden.
    return f"variable {id(variable)}"


def _known(variable: Any, scope: Scope) -> Any:
    known = scope.get(_variable_key(variable))
    if known is not None:
        return known[0]
    return Any if variable.__bound__ is None else variable.__bound__


def _is_generated_doc(cls: type) -> bool:
    """`dataclass` writes the signature where nothing is said, and `TypedDict` inherits that of `dict`."""
    return not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}(") or cls.__doc__ == dict.__doc__
