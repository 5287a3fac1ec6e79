"""Annotations that are text (`from __future__ import annotations`, and names of classes that come later) as what they mean.

Their expressions are read, not evaluated: names, attributes, `|`, brackets and literals, and nothing is called.
"""

import ast
import builtins
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

LENGTH_MAX = 10_000
"""Characters of an annotation."""


class UnsupportedType(TypeError):
    """An annotation that has no JSON form, or whose meaning is not known. The message says where."""


def resolve(text: str, scope: Mapping[str, Any]) -> Any:
    """
    Raises:
        UnsupportedType: If it is no type, or a name is not known at the module's level.
    """
    if len(text) > LENGTH_MAX:
        raise UnsupportedType(f"an annotation of more than {LENGTH_MAX} characters")
    try:
        return _Reader(scope).meaning(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise error if isinstance(error, UnsupportedType) else UnsupportedType(f"`{text[:100]}` is not understood: {error}") from None


class _Reader:
    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope

    def meaning(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=value, attr=name):
                return getattr(self.meaning(value), name)
            case ast.Constant(value=str() as text):
                return resolve(text, self._scope)
            case ast.Constant(value=value) if value is None or value is ...:
                return value
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return Union[self.meaning(left), self.meaning(right)]  # noqa: UP007 - its parts are known now only
            case ast.List(elts=parts):
                return [self.meaning(part) for part in parts]
            case ast.Subscript(value=value, slice=inside):
                return self._subscript(self.meaning(value), inside)
        raise UnsupportedType(f"`{ast.unparse(node)[:100]}` is no type that is understood")

    def _name(self, name: str) -> Any:
        if name in self._scope:
            return self._scope[name]
        try:
            return getattr(builtins, name)
        except AttributeError:
            raise UnsupportedType(f"the type `{name}` is not known at the level of the module") from None

    def _subscript(self, generic: Any, inside: ast.expr) -> Any:
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        if generic is Literal:
            return Literal[tuple(self._constant(part) for part in parts)]
        if generic is Annotated:
            # Of what else is said of a type, only texts mean anything here.
            notes = tuple(part.value for part in parts[1:] if isinstance(part, ast.Constant) and isinstance(part.value, str))
            return Annotated[(self.meaning(parts[0]), *notes)] if notes else self.meaning(parts[0])
        meanings = tuple(self.meaning(part) for part in parts)
        return generic[meanings if isinstance(inside, ast.Tuple) else meanings[0]]

    def _constant(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                return -value
        return self.meaning(node)
