from api.workouts.rendering import plain_numbers, to_columns, to_csv, to_rows
from tests.shared.samples.strategies import NAN, samples_of

SAMPLES = samples_of([5, 7], power=[210, NAN], speed=[8.5, 0])


def test_a_row_leaves_out_what_was_not_measured() -> None:
    assert to_rows(SAMPLES) == [
        {"timestamp": 5, "power": 210, "speed": 8.5},
        {"timestamp": 7, "speed": 0.0},
    ]


def test_columns_have_null_for_what_was_not_measured() -> None:
    assert to_columns(SAMPLES) == {"timestamp": [5, 7], "power": [210, None], "speed": [8.5, 0.0]}


def test_csv_has_a_header_and_empty_fields() -> None:
    assert to_csv(SAMPLES) == "timestamp,power,speed\n5,210,8.5\n7,,0.0\n"


def test_whole_channels_are_whole_numbers() -> None:
    numbers = plain_numbers(SAMPLES.channel("power"))
    assert [type(number) for number in numbers] == [int, type(None)]
    assert plain_numbers(samples_of([1, 2], power=[NAN, NAN]).channel("power")) == [None, None]
