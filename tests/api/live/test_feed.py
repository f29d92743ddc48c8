"""The events of a feed."""

import json
from typing import Any

import numpy as np

from api.live.feed import Feed, Plain, Wish, event
from api.live.position import Position
from shared.samples.columns import Samples
from tests.shared.samples.strategies import samples_of

T = 1_700_000_000_000
HERE = Position("1-0", T, 1)


def seconds(*at: float, power: float = 200) -> Samples:
    times = np.array([T + round(1000 * each) for each in at], np.int64)
    return Samples(times, {"power": np.full(len(at), power), "cadence": np.full(len(at), np.nan)})


def told(feed: Feed, samples: Samples) -> list[Any]:
    """The columns of its events."""
    return [
        json.loads(line.removeprefix("data: "))
        for each in feed.samples(samples, HERE)
        for line in each.decode().splitlines()
        if line.startswith("data: ")
    ]


def offsets(columns: list[Any]) -> list[float]:
    return [(time - T) / 1000 for each in columns for time in each["timestamp"]]


def test_an_event_is_as_the_protocol_has_it() -> None:
    assert event("samples", {"timestamp": [1]}, "7-0.1.1") == (
        b'id: 7-0.1.1\nevent: samples\ndata: {"timestamp":[1]}\n\n'
    )


def test_a_channel_without_a_value_is_left_out() -> None:
    assert told(Feed(Wish(None, 1), Plain()), seconds(0, 1)) == [
        {"timestamp": [T, T + 1000], "power": [200, 200]}
    ]


def test_of_each_stretch_of_time_the_first_sample_is_sent_whatever_batches_it_comes_in() -> None:
    feed = Feed(Wish(None, 5), Plain())
    assert offsets(told(feed, seconds(0, 1, 2))) == [0]
    assert offsets(told(feed, seconds(3, 4, 5, 6))) == [5]
    assert offsets(told(feed, seconds(6.5, 9.9, 10))) == [10]


def test_many_samples_come_in_several_events_and_the_last_says_how_far_they_go() -> None:
    events = list(Feed(Wish(None, 1), Plain()).samples(seconds(*range(2500)), HERE))
    assert len(events) == 3
    assert [each.startswith(b"id: ") for each in events] == [False, False, True]


def test_without_anything_to_show_the_position_goes_on() -> None:
    assert list(Feed(Wish(None, 1), Plain()).samples(samples_of([]), HERE)) == [
        b"id: %s\n\n" % str(HERE).encode()
    ]
