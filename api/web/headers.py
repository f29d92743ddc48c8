"""Headers of a request, without the mapping that Starlette would build for every upload."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import HTTPConnection


def headers(connection: HTTPConnection[Any], name: bytes) -> Iterator[str]:
    """The values of every header of that name, which is in lower case."""
    for found, value in connection.scope["headers"]:
        if found == name:
            yield value.decode("latin-1")


def header(connection: HTTPConnection[Any], name: bytes) -> str:
    """The value of the first header of that name, which is in lower case; empty without one."""
    for found, value in connection.scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return ""
