"""Laps and intervals as tables."""

from api.pages.efforts import table_of_intervals, table_of_laps
from api.pages.formats import METRIC_ENGLISH

INTERVAL = {"start": 5000, "duration": 240, "avgPower": 285.4, "avgHeartrate": 164}


def test_an_interval_is_written_with_its_units_and_its_place() -> None:
    table = table_of_intervals([INTERVAL], METRIC_ENGLISH)
    assert table.heads == ["Time", "Power", "Heart rate"]
    (row,) = table.rows
    assert row.cells == [("4:00", ""), ("285", "W"), ("164", "bpm")]
    assert (row.start, row.end) == (5000, 245_000)


def test_a_column_is_there_where_any_of_them_knows_its_figure() -> None:
    light = INTERVAL | {"wattsPerKilogram": 4.531, "avgHeartrate": None}
    table = table_of_intervals([INTERVAL, light], METRIC_ENGLISH)
    assert table.heads == ["Time", "Power", "Per kg", "Heart rate"]
    assert [row.cells[2:] for row in table.rows] == [
        [("–", "W/kg"), ("164", "bpm")],
        [("4.53", "W/kg"), ("–", "bpm")],
    ]


def test_a_lap_without_samples_yet_is_numbered_and_no_more() -> None:
    table = table_of_laps([{"start": 0, "end": 1000}], METRIC_ENGLISH)
    assert table.heads == []
    assert [(row.start, row.end, row.cells) for row in table.rows] == [(0, 1000, [])]
