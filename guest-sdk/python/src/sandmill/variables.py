"""Variables: text at paths, secret or not. Granted by path: `[grants] variables = ["f/demo/*"]`."""

from sandmill._host import refused_as
from sandmill.errors import VariableError


def variable(path: str) -> str:
    """The text of a variable. That of a secret one needs a grant of its own (`secrets = ["f/demo/token"]`).

    Raises:
        VariableError: `denied`, `invalid`, `not-found` or `unavailable`.
    """
    with refused_as(VariableError) as host:
        return host.variables_get(path)


def secret(path: str) -> str:
    """Text that stands for a secret variable's.

    The host puts the secret in its place in headers, query and body of requests that a grant lets use it
    (`http = ["POST https://api.example.com/ with f/demo/token"]`), and nowhere else.

    Raises:
        VariableError: As `variable`.
    """
    with refused_as(VariableError) as host:
        return host.variables_placeholder(path)
