"""The parameters of `main`: their JSON Schema, and the values that they get."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sandmill._json import JsonError, Place, check
from sandmill._shapes import docstrings
from sandmill._shapes.base import Definitions, Inquiry, Schema, Shape, TooMany
from sandmill._shapes.build import Builder, description_of
from sandmill._shapes.containers import UnionShape
from sandmill._shapes.names import UnsupportedType
from sandmill._shapes.objects import NO_DEFAULT, Field, fields_schema, take_fields
from sandmill._shapes.scalars import AnyShape, FloatShape, PlainShape
from sandmill.errors import Fault, InvalidArguments

DIALECT = "https://json-schema.org/draft/2020-12/schema"

__all__ = ["Signature", "UnsupportedType", "schema_of", "signature_of"]

_signatures: WeakKeyDictionary[Callable[..., Any], "Signature"] = WeakKeyDictionary()


def schema_of(function: Callable[..., Any]) -> Schema:
    """JSON Schema (2020-12) of the parameters of a function: an object schema.

    Raises:
        UnsupportedType: If a parameter has a type without a JSON form; the message names both.
    """
    signature = signature_of(function)
    definitions = Definitions()
    schema = {"$schema": DIALECT, **fields_schema(signature.fields, definitions, signature.description)}
    if signature.rest is not None:
        schema["additionalProperties"] = signature.rest.schema(definitions)
    return {**schema, "$defs": definitions.schemas} if definitions.schemas else schema


def signature_of(function: Callable[..., Any]) -> "Signature":
    """Made once for each function."""
    signature = _signatures.get(function)
    if signature is None:
        signature = _signatures[function] = _read(function)
    return signature


@dataclass(slots=True)
class Signature:
    """`rest` is the shape of what `**kwargs` gets; `positional` are the names before a `/`."""

    fields: list[Field]
    positional: list[str]
    rest: Shape | None
    description: str | None

    def bind(self, arguments: Mapping[str, Any], *, checked: bool) -> tuple[list[Any], dict[str, Any]]:
        """Values for a call. `checked` says that the arguments came out of a parser of JSON.

        Raises:
            InvalidArguments: With all that is wrong.
        """
        inquiry = Inquiry()
        known = arguments if checked else self._checked(arguments, inquiry)
        inquiry.done()
        taken: dict[str, Any] | None = None
        try:
            taken = take_fields(self.fields, known, None, inquiry)
            names = {field.name for field in self.fields}
            others = {name: value for name, value in known.items() if name not in names} if self.rest is not None else {}
            for name, value in others.items():
                assert self.rest is not None, "there are others only then"
                others[name] = self.rest.take(value, (None, name), inquiry)
        except TooMany:
            pass
        except RecursionError:
            raise InvalidArguments([Fault("", "cannot be taken: a type is defined by nothing but itself")]) from None
        inquiry.done()
        assert taken is not None, "there were no faults"
        values = [taken.pop(name) for name in self.positional if name in taken]
        return values, {**taken, **others}

    def _checked(self, arguments: Mapping[str, Any], inquiry: Inquiry) -> dict[str, Any]:
        """What nobody asks for is not looked at, either."""
        names = arguments.keys() if self.rest is not None else [field.name for field in self.fields if field.name in arguments]
        for name in names:
            at: Place = (None, name)
            try:
                check(arguments[name], at)
            except JsonError as error:
                inquiry.faults.append(Fault(error.pointer, error.message))
        return {name: arguments[name] for name in names}


def _read(function: Callable[..., Any]) -> Signature:
    docs = docstrings.read(function.__doc__)
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    scope = {**scope, **{variable.__name__: variable for variable in getattr(function, "__type_params__", ())}}
    builder = Builder()
    signature = Signature([], [], None, docs.summary)
    for parameter in inspect.signature(function).parameters.values():
        try:
            field = _field(parameter, builder, scope)
        except UnsupportedType as error:
            raise UnsupportedType(f"parameter `{parameter.name}`: {error}") from None
        field.description = field.description or docs.fields.get(field.name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise UnsupportedType(f"parameter `*{parameter.name}`: arguments have names; take a list")
        if parameter.kind is parameter.VAR_KEYWORD:
            signature.rest = field.shape
            continue
        signature.fields.append(field)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            signature.positional.append(field.name)
    return signature


def _field(parameter: inspect.Parameter, builder: Builder, scope: Mapping[str, Any]) -> Field:
    default = NO_DEFAULT if parameter.default is parameter.empty else parameter.default
    if parameter.annotation is parameter.empty:
        return Field(parameter.name, _shape_of_default(default), default is NO_DEFAULT, default)
    shape = builder.build(parameter.annotation, scope)
    if default is None and "null" not in shape.kinds:
        # `opts: Options = None` means what it says.
        shape = UnionShape([shape, PlainShape("null", 0)])
    return Field(parameter.name, shape, default is NO_DEFAULT, default, description_of(parameter.annotation, scope))


def _shape_of_default(default: Any) -> Shape:
    """A parameter without a type has that of its default. An integer says no more than that it is a number."""
    match default:
        case bool():
            return PlainShape("boolean")
        case int() | float():
            return FloatShape(keep_integers=True)
        case str():
            return PlainShape("string")
        case list():
            return PlainShape("array")
        case dict():
            return PlainShape("object")
    return AnyShape()
