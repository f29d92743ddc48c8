"""What clients send to a stream: who says it, the message, and the sample in it. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from api.ingest.batch import Sample
from api.web.problems import BadRequest
from shared.samples.channels import CHANNEL_NAMES, EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD

MOST_BYTES: Final = 102_400  # of a message
_LONGEST: Final = 64  # characters
_KINDS: Final = {field.name: field.type for field in msgspec.structs.fields(Sample)}


@dataclass(frozen=True)
class Reading:
    """A sample of a message: when (ms), and a value or None of each channel.

    ``is_stamped``: the message says when, else it is of the moment it arrived.
    """

    timestamp: int
    values: tuple[float | None, ...]
    is_stamped: bool


@dataclass(frozen=True)
class Message:
    """What a stream was told, exactly. ``arrived``: in ms since the epoch.

    ``moment``: that of its sample where another one arrived in the same millisecond.
    """

    text: str
    arrived: int
    author: str | None = None
    moment: int | None = None

    def data(self) -> dict[str, str]:
        """As clients are shown it."""
        author = {"author": self.author} if self.author else {}
        return {"message": self.text, "timestamp": str(self.arrived), **author}

    def reading(self) -> Reading | None:
        """The sample that it is, if it is one."""
        return reading_of(self.text, self.arrived if self.moment is None else self.moment)


def read_message(body: dict[str, Any], arrived: int) -> Message:
    """The message that a body asks to send. Raises BadRequest."""
    author = body.get("author")
    return Message(_text_of(body.get("message")), arrived, _checked_author(author))


def reading_of(text: str, arrived: int) -> Reading | None:
    """The sample in a text that is a JSON object with a channel, else None.

    A value that no sensor measures is as missing; without a credible `timestamp` of its own the
    sample is of the moment it arrived.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        members = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    values = tuple(_measured(name, members.get(name)) for name in CHANNEL_NAMES)
    if all(value is None for value in values):
        return None
    moment = _moment(members.get("timestamp"), arrived)
    return Reading(arrived if moment is None else moment, values, moment is not None)


def _text_of(message: object) -> str:
    text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    if message is None or not _trimmed(text):
        raise BadRequest("message is required")
    if len(text.encode()) > MOST_BYTES:
        raise BadRequest("message is over 100KB (102400 bytes)")
    return text


def _checked_author(author: object) -> str | None:
    if author is None:
        return None
    if not isinstance(author, str):
        raise BadRequest("author must be a string")
    trimmed = _trimmed(author)
    if len(trimmed) > _LONGEST:
        raise BadRequest(f"author must be at most {_LONGEST} characters")
    return trimmed or None


def _trimmed(text: str) -> str:
    return text.replace("\0", "").strip()


def _measured(name: str, value: object) -> float | None:
    """The value if it is within the bounds of the channel; a number in a string counts as one."""
    if value is None or isinstance(value, bool):
        return None
    try:
        measured: float | None = msgspec.convert(value, _KINDS[name], strict=False)
    except msgspec.ValidationError:
        return None
    return measured


def _moment(timestamp: object, arrived: int) -> int | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float | str):
        return None
    try:
        moment = round(float(timestamp))
    except (ValueError, OverflowError):
        return None
    credible = EARLIEST_TIMESTAMP <= moment <= arrived + MAX_CLOCK_LEAD
    return moment if credible else None
