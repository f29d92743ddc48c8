"""What is wrong with a body that is no JSON, in our words.

The parser's message is read for what it stumbled over and where. A message that is not known here
says only that the text is malformed: a parser's own words never reach a client.
"""

import re
from typing import Final

import msgspec

_AT: Final = re.compile(r"\(byte (\d+)\)$")
# Part of the parser's message → what it means.
_MEANINGS: Final = {
    "truncated": "it ends early",
    "object keys must be strings": "the name of a member must be in double quotes",
    "trailing comma": "nothing follows a comma",
    "trailing characters": "more follows after its end",
    "expected ':'": "a colon must follow the name of a member",
    "expected ','": "a comma or the closing bracket is missing",
    "invalid number": "a number is malformed",
    "out of range": "a number is too large",
    "escape": "a backslash in text must begin an escape such as \\n or \\u00e9",
    "invalid character": "a value must be an object, an array, text in double quotes, a number,"
    " true, false or null",
}


def json_fault(error: Exception) -> str:
    """Why a text is no JSON, and at which byte, counted from 0."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return utf8_fault(error)
    said = str(error) if isinstance(error, msgspec.DecodeError) else ""
    meant = (meaning for part, meaning in _MEANINGS.items() if part in said)
    at = _AT.search(said)
    return next(meant, "it is malformed") + (f" (byte {at[1]})" if at else "")


def utf8_fault(error: UnicodeDecodeError) -> str:
    """Where a text is not UTF-8, counted from 0."""
    return f"it is not UTF-8 (byte {error.start})"
