"""Moments as programs exchange them: RFC 3339, never without an offset."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def unix_ms(moment: datetime | None) -> int | None:
    """Whole milliseconds since 1970; None for none."""
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)
