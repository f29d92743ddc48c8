"""Forms of the kind multipart/form-data (RFC 7578): one file, and fields of a few bytes."""

import re
from dataclasses import dataclass, field
from email.message import Message
from typing import Final

from api.web.problems import BadRequest, RepeatedName
from api.web.shapes import given_twice, sentence

MULTIPART: Final = "multipart/form-data"
_MOST_PARTS: Final = 20
_LONGEST_HEAD: Final = 4096  # bytes of a part's headers
_LONGEST_FIELD: Final = 65_536  # a description in any script
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")


@dataclass
class Form:
    """``filename`` and ``data`` of the part `file`, which is None where there was none."""

    filename: str | None = None
    data: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)


def parse_form(content_type: str, body: bytes) -> Form:
    """The form of a body. Raises BadRequest for what is none, RepeatedName for a field twice."""
    delimiter = b"\r\n--" + _boundary_of(content_type)
    body = b"\r\n" + body  # as before every other delimiter
    form, at = Form(), body.find(delimiter)
    if at < 0:
        raise BadRequest("the form does not begin with its boundary")
    for _ in range(_MOST_PARTS + 1):  # and the end
        at += len(delimiter)
        if body.startswith(b"--", at):
            return form
        end = body.find(delimiter, at)
        if end < 0:
            raise BadRequest("the form ends early")
        _add_part(form, body, at, end)
        at = end
    raise BadRequest(f"the form has more than {_MOST_PARTS} parts")


def _boundary_of(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary("").encode("ascii", "replace")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("the content type multipart/form-data names no boundary")
    return boundary


def _add_part(form: Form, body: bytes, start: int, end: int) -> None:
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _LONGEST_HEAD) + 4)
    if head_end < 0:
        raise BadRequest("a part of the form has no headers, or too many")
    disposition = _disposition_of(body[start:head_end])
    name, filename = (disposition.get_param(each, header=_NAME) for each in ("name", "filename"))
    content = slice(head_end + 4, end)
    if name == "file":
        if form.data is not None:
            raise BadRequest("send one `file` at a time, or a .zip of many")
        form.filename = str(filename) if filename else None
        form.data = body[content]
    elif isinstance(name, str) and name in form.fields:
        fault = given_twice(name, what="field")
        raise RepeatedName(sentence(fault), [fault])
    elif isinstance(name, str) and end - content.start <= _LONGEST_FIELD:
        form.fields[name] = body[content].decode(errors="replace")


_NAME: Final = "content-disposition"


def _disposition_of(head: bytes) -> Message:
    """The part's disposition alone: nothing else that its headers say matters."""
    message = Message()
    for line in head.decode(errors="replace").split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == _NAME:
            message[_NAME] = value.strip()
    return message
