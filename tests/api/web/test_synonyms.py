"""What others call what is here, where letters alone do not tell."""

import pytest

from api.web.shapes import member_names, nearest
from api.web.synonyms import meant_by, plain
from api.workouts.listing import ListQuery
from api.workouts.starting import CreateWorkout
from shared.samples.channels import CHANNEL_NAMES

CHANNELS = ("timestamp", *CHANNEL_NAMES)


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        *(("ele", "altitude"), ("cad", "cadence"), ("hr_bpm", "heartrate"), ("hr", "heartrate")),
        *(("time", "timestamp"), ("heart_rate", "heartrate"), ("enhanced_speed", "speed")),
        *(("position_lat", "lat"), ("position_long", "lng"), ("lon", "lng"), ("watts", "power")),
        *(
            ("velocity_smooth", "speed"),
            ("left_right_balance", "balance"),
            ("atemp", "temperature"),
        ),
        *(("enhanced_altitude", "altitude"), ("heartRate", "heartrate"), ("Power", "power")),
    ],
)
def test_the_words_of_devices_name_our_channels(name: str, channel: str) -> None:
    assert nearest(name, CHANNELS) == channel


def test_a_word_means_what_there_is_at_its_place() -> None:
    assert nearest("name", member_names(CreateWorkout)) == "title"
    assert nearest("type", member_names(CreateWorkout)) == "sport"
    assert nearest("start", member_names(ListQuery)) == "from"
    assert nearest("perPage", member_names(ListQuery)) == "limit"
    assert nearest("min_avg_watts", member_names(ListQuery)) == "minAvgPower"


def test_a_word_of_nothing_here_means_nothing() -> None:
    assert nearest("battery", CHANNELS) is None
    assert meant_by("gear", CHANNELS) is None
    assert meant_by("a_b_c_d_e_f_g", CHANNELS) is None


def test_what_is_known_is_never_taken_for_a_synonym() -> None:
    for name in ("startTime", "title", "sport"):
        assert nearest(plain(name), member_names(CreateWorkout)) == name
