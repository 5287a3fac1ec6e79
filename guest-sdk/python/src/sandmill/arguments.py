"""Calls of `main` and `preprocessor` with JSON."""

from collections.abc import Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any

from sandmill._json import JsonError, loads
from sandmill.errors import Fault, InvalidArguments
from sandmill.results import to_plain
from sandmill.signatures import signature_of


def call(main: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Calls a function with JSON arguments by name, as the types of its parameters have them; waits for it if it is `async`.

    Arguments that it has no parameter for are ignored.

    Args:
        main: The function.
        arguments: Values as `json.loads` makes them.

    Returns:
        What it returned; `to_json` makes JSON of it.

    Raises:
        InvalidArguments: If some are missing or do not fit: all of them, each with its JSON pointer.
        UnsupportedType: If a parameter has a type without a JSON form.
        RuntimeError: If it is `async` and called inside of an event loop; there await `call_async`.
    """
    return _waited_for(_begin(main, arguments, checked=False))


async def call_async(main: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """`call`, for those who are in an event loop already."""
    result = _begin(main, arguments, checked=False)
    return await result if isawaitable(result) else result


def call_with_text(main: Callable[..., Any], arguments: str) -> Any:
    """`call` with the text of a JSON object."""
    return _waited_for(_begin(main, _object(arguments), checked=True))


def preprocess(preprocessor: Callable[[Any], Any], event: Any) -> dict[str, Any] | None:
    """Turns an event into arguments, as JSON; `None` says that there is nothing to do.

    Raises:
        InvalidArguments: If the event does not fit the type of the parameter.
        TypeError: If the preprocessor takes no parameter, or returns neither an object nor `None`.
        JsonError: If what it returns has no JSON form.
    """
    fields = signature_of(preprocessor).fields
    if not fields:
        raise TypeError("a preprocessor takes the event: def preprocessor(event)")
    made = to_plain(call(preprocessor, {fields[0].name: event}))
    if made is not None and not isinstance(made, dict):
        raise TypeError(f"a preprocessor returns the arguments of main as an object, or None, not a {type(made).__name__}")
    return made


def _begin(main: Callable[..., Any], arguments: Mapping[str, Any], *, checked: bool) -> Any:
    positional, named = signature_of(main).bind(arguments, checked=checked)
    return main(*positional, **named)


def _object(text: str) -> dict[str, Any]:
    try:
        arguments = loads(text)
    except JsonError as error:
        raise InvalidArguments([Fault(error.pointer, error.message)]) from None
    if not isinstance(arguments, dict):
        raise InvalidArguments([Fault("", "are not an object")])
    return arguments


def _waited_for(result: Any) -> Any:
    if not isawaitable(result):
        return result
    import asyncio  # Slow to load, and most scripts have no use for it.

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_finish(result))
    if isinstance(result, Coroutine):
        result.close()  # Else Python complains that nobody waited for it.
    raise RuntimeError("an event loop is running: await sandmill.call_async(…)")


async def _finish(result: Any) -> Any:
    return await result
