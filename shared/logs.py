"""One way of logging for every process."""

import logging
import re
from typing import Final

_KEY: Final = re.compile(r"(bpt_[0-9a-f]{16}_)[0-9a-f]+", re.ASCII | re.IGNORECASE)
_PASSWORD: Final = re.compile(r"(://[^\s/@:]*:)[^\s/@]+(?=@)")


def start_logging(level: str) -> None:
    """Lines on standard error: time, level, logger, event."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _Discreet(logging.Formatter):
    """Leaves the secret out of every key and URL, whoever wrote the line or the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return _PASSWORD.sub(r"\1…", _KEY.sub(r"\1…", super().format(record)))
