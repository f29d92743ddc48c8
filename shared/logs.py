"""One way of logging for every process: a line an event, for people or as JSON."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

_KEY: Final = re.compile(r"(bpt_[0-9a-f]{16}_)[0-9a-f]+", re.ASCII | re.IGNORECASE)
_PASSWORD: Final = re.compile(r"(://[^\s/@:]*:)[^\s/@]+(?=@)")
_ids: ContextVar[Mapping[str, object]] = ContextVar("ids", default=MappingProxyType({}))


def start_logging(level: str, form: str = "text") -> None:
    """Lines on standard error: time, level, logger, event; by ``json`` with ids, as objects."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Discreet())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def remember(**ids: object) -> None:
    """What the further lines of this task are about, by name: a request, a user, a workout."""
    _ids.set({**_ids.get(), **ids})


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """The same for as long as the block lasts."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


class _Discreet(logging.Formatter):
    """Leaves the secret out of every key and URL, whoever wrote the line or the traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return _without_secrets(super().format(record))


class _Json(logging.Formatter):
    """An object a line, whatever the message and the traceback hold; without secrets, too."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{name: str(value) for name, value in _ids.get().items() if value is not None},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # Each by itself: what a pattern took for one text could span two members.
        discreet = {name: _without_secrets(text) for name, text in line.items()}
        return msgspec.json.encode(discreet).decode()


def _without_secrets(text: str) -> str:
    return _PASSWORD.sub(r"\1…", _KEY.sub(r"\1…", text))
