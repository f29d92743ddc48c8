"""Named queries: ``-- name: …`` and a line of intent, then the statement, in ``.sql`` files."""

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(topic: str) -> dict[str, LiteralString]:
    """The queries of ``<topic>.sql`` by name.

    The text is part of the program, as a literal would be: hence the cast.
    """
    text = (files(__package__) / f"{topic}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {
        name: cast(LiteralString, body.strip())
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
