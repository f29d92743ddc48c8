"""What is shown of a ride."""

from ops.live.events import Event
from ops.live.ride import WatchedRide, figures_so_far, last_values


def samples(**columns: list[float | None]) -> Event:
    return Event("samples", columns, "")


def test_the_last_value_of_each_channel_is_shown() -> None:
    ride = WatchedRide()
    ride.note(samples(timestamp=[1000, 2000], power=[210, 220], speed=[9.0, None]))
    ride.note(samples(timestamp=[1500], power=[999]))  # late
    assert last_values(ride) == "220 W  32.4 km/h"
    assert ride.behind(3500) == 1.5


def test_a_value_of_long_ago_is_not_shown() -> None:
    ride = WatchedRide()
    ride.note(samples(timestamp=[1000], power=[210], heartrate=[140]))
    ride.note(samples(timestamp=[31_000], heartrate=[141]))
    assert last_values(ride) == "141 bpm"


def test_figures_that_are_not_known_are_left_out() -> None:
    summary = {"recordedTime": 3725, "totalDistance": 16_240.0, "avgPower": 187.4}
    assert figures_so_far({**summary, "normalizedPower": None}) == "1:02:05  16.24 km  avg 187 W"


def test_a_ride_is_over_with_its_last_event() -> None:
    ride = WatchedRide()
    assert ride.note(Event("summary", {"summary": {"avgPower": 200}, "through": 1}, ""))
    assert (ride.status, ride.summary) == ("", {"avgPower": 200})
    assert ride.note(Event("end", {"status": "FAILED", "summary": None}, "end"))
    assert (ride.status, ride.summary) == ("FAILED", {})
    assert not ride.note(Event("", {}, "7-0"))
