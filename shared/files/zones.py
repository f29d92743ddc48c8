"""The time zone of a ride, by where it began."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import tzfpy

from shared.files.recording import Recording

_NEAR_NOWHERE: Final = 0.01  # degrees around 0/0, where receivers without a fix are
_TRIED: Final = 5  # positions, over the ride


def zone_of(ride: Recording) -> str | None:
    """The IANA name; None without a position on land, and for virtual and indoor rides.

    Those are ridden at home, whatever island their program shows.
    """
    if ride.sport is not None and ride.sport.startswith(("virtual", "indoor")):
        return None
    for lat, lng in _positions(ride):
        name = tzfpy.get_tz(lng, lat)
        if name and not name.startswith("Etc/"):
            return name
    return None


def zone_name(ride: Recording) -> str | None:
    """The IANA name of the zone, or of the offset that the device knew, if that is whole hours."""
    offset = ride.utc_offset
    if ride.time_zone is not None or offset is None or offset % 3600:
        return ride.time_zone
    return f"Etc/GMT{-offset // 3600:+d}" if offset else "Etc/GMT"  # its signs are reversed


def local_time(ride: Recording) -> datetime | None:
    """When the ride began, by the clocks there; None where neither zone nor offset is known."""
    start = datetime.fromtimestamp(ride.start / 1000, UTC)
    if ride.time_zone is not None:
        try:
            return start.astimezone(ZoneInfo(ride.time_zone))
        except ZoneInfoNotFoundError:  # newer than this machine's table of zones
            pass
    if ride.utc_offset is None:
        return None
    return start.astimezone(timezone(timedelta(seconds=ride.utc_offset)))


def _positions(ride: Recording) -> Iterator[tuple[float, float]]:
    """A few of the ride's positions, the first one first."""
    lat, lng = ride.samples.channel("lat"), ride.samples.channel("lng")
    known = np.flatnonzero(np.hypot(lat, lng) > _NEAR_NOWHERE)
    for index in known[:: max(1, len(known) // _TRIED)][:_TRIED]:
        yield float(lat[index]), float(lng[index])
