"""Titles by the time of day, and the zones that it needs."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from shared.files.recording import Recording
from shared.files.titles import title_of
from shared.files.zones import local_time, zone_name, zone_of
from shared.samples.columns import Samples

START = 1_591_023_160_000  # 2020-06-01T14:52:40Z


@pytest.mark.parametrize(
    ("hour", "sport", "language", "title"),
    [
        (4, "cycling", "en", "Night ride"),
        (5, "road-cycling", "en", "Morning ride"),
        (12, None, "en", "Afternoon ride"),
        (17, "trail-running", "en-GB", "Evening run"),
        (22, "open-water-swimming", "en", "Night swim"),
        (9, "kitesurfing", "en", "Morning workout"),
        (8, "mountain-biking", "de-CH", "Morgenfahrt"),
        (14, "running", "de", "Nachmittagslauf"),
        (9, "cycling", "fr", "Sortie vélo du matin"),
        (18, "running", "es", "Carrera por la noche"),
        (19, "hiking", "nl", "Avondwandeling"),
        (9, "cycling", "tlh", "Morning ride"),
        (9, "running", "it", "Corsa del mattino"),
        (18, "cycling", "pt-BR", "Pedalada ao anoitecer"),
        (14, "swimming", "ja", "午後のスイム"),
    ],
)
def test_a_ride_is_named_for_the_time_of_day(
    hour: int, sport: str | None, language: str, title: str
) -> None:
    assert title_of(datetime(2020, 6, 1, hour, tzinfo=UTC), sport, language) == title


@pytest.mark.parametrize(
    ("zone", "offset", "name"),
    [
        ("Europe/Zurich", 7200, "Europe/Zurich"),
        (None, 7200, "Etc/GMT-2"),
        (None, -18_000, "Etc/GMT+5"),
        (None, 0, "Etc/GMT"),
        (None, 19_800, None),
        (None, None, None),
    ],
)
def test_a_zone_is_named_by_place_or_by_the_device_s_clock(
    zone: str | None, offset: int | None, name: str | None
) -> None:
    samples = Samples(np.array([START]), {"power": np.array([200.0])})
    assert zone_name(Recording(samples, time_zone=zone, utc_offset=offset)) == name
    assert name is None or ZoneInfo(name)


def test_without_a_local_time_it_is_named_for_its_sport() -> None:
    assert title_of(None, "running") == "Run"
    assert title_of(None, None, "de") == "Fahrt"


def ride(lat: list[float], lng: list[float], **members: object) -> Recording:
    times = START + 1000 * np.arange(len(lat))
    channels = {"lat": np.array(lat), "lng": np.array(lng)}
    return Recording(Samples(times, channels), **members)  # type: ignore[arg-type]


def test_the_zone_is_that_of_the_first_position() -> None:
    """Newfoundland is two and a half hours behind UTC in summer."""
    newfoundland = ride([np.nan, 47.6268, 52.1578], [np.nan, -52.8155, 4.4911])
    assert zone_of(newfoundland) == "America/St_Johns"
    placed = ride([47.6268], [-52.8155], time_zone="America/St_Johns", utc_offset=7200)
    assert str(local_time(placed)) == "2020-06-01 12:22:40-02:30"


@pytest.mark.parametrize(("lat", "lng"), [([], []), ([0.0], [0.0]), ([30.0], [-40.0])])
def test_no_fix_and_the_open_sea_have_no_zone(lat: list[float], lng: list[float]) -> None:
    assert zone_of(ride(lat, lng)) is None


@pytest.mark.parametrize("sport", ["virtual-cycling", "indoor-cycling"])
def test_a_ride_at_home_is_not_where_its_program_shows_it(sport: str) -> None:
    assert zone_of(ride([-11.6], [166.9], sport=sport)) is None


def test_without_a_zone_the_devices_own_clock_counts() -> None:
    assert str(local_time(ride([0.0], [0.0], utc_offset=7200))) == "2020-06-01 16:52:40+02:00"
    assert local_time(ride([0.0], [0.0])) is None


def test_a_zone_that_this_machine_does_not_know_is_none() -> None:
    assert local_time(ride([0.0], [0.0], time_zone="Mars/Olympus_Mons")) is None
