"""Moments as programs exchange them: RFC 3339, never without an offset."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
