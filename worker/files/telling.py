"""What a file tells of a ride, in the terms of a workout: within bounds, and fit for PostgreSQL."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from shared.files.recording import Recording
from shared.files.titles import title_of
from shared.files.words import LONGEST_DESCRIPTION, LONGEST_TITLE, SPORT, plain_line, plain_text
from shared.files.zones import local_time, zone_name
from shared.laps import MOST_LAPS, DeviceShown, Lap, PauseShown
from worker.files.store import NewWorkout

_LONGEST_NAME: Final = 100
_MOST_PAUSES: Final = 2000
_ANY_SPORT: Final = "cycling"


def told_by(recording: Recording, language: str) -> NewWorkout:
    """Title, sport, laps, pauses and device; a ride without a title gets one by its hour."""
    sport = recording.sport or _ANY_SPORT
    title = plain_line(recording.title, LONGEST_TITLE)
    return NewWorkout(
        title=title or title_of(local_time(recording), recording.sport, language),
        description=plain_text(recording.description, LONGEST_DESCRIPTION),
        sport=sport if SPORT.fullmatch(sport) else _ANY_SPORT,
        start_time=datetime.fromtimestamp(recording.start / 1000, UTC),
        laps=[
            Lap(start=lap.start, end=lap.end, device=lap.figures)
            for lap in recording.laps[:MOST_LAPS]
        ],
        pauses=[PauseShown(pause.start, pause.end) for pause in recording.pauses[:_MOST_PAUSES]],
        device=_device(recording),
        time_zone=zone_name(recording),
        remedies=recording.remedies,
    )


def _device(recording: Recording) -> DeviceShown:
    device = recording.device
    return DeviceShown(
        maker=plain_text(device.maker, _LONGEST_NAME),
        product=plain_text(device.product, _LONGEST_NAME),
        serial=plain_text(device.serial, _LONGEST_NAME),
        **msgspec.structs.asdict(recording.figures),
    )
