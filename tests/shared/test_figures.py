"""The table of figures, beside what hangs on it: the document, the schema, and stored summaries."""

from typing import Any

import pytest

from shared.connections import Database
from shared.figures import FIGURES, Figure, Listed, complete
from shared.listing import LISTED
from tests.shared.figures_table import BEGIN, DOCUMENT, END, table

# In every summary there is: it was stored after migration 0004, which had all others made anew.
ALWAYS_THERE = {
    "duration",
    "recordedTime",
    "coverage",
    "gaps",
    "spikes",
    "sampleCount",
    "precise",
    "parameters",
    "methodVersion",
}
POSTGRESQL = {int: "integer", float: "double precision"}


def test_the_document_has_every_figure_with_its_unit_and_no_other() -> None:
    written = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written.splitlines() == table().splitlines(), "make figures writes it"


def test_a_figure_that_older_summaries_lack_may_be_null() -> None:
    assert {figure.member for figure in FIGURES if not figure.nullable} == ALWAYS_THERE


@pytest.mark.parametrize(("figure", "listed"), LISTED.items(), ids=[each.name for each in LISTED])
def test_a_listed_figure_has_its_column_and_index(
    database: Database, figure: Figure, listed: Listed
) -> None:
    with database.connection() as connection:
        column = connection.execute(
            "SELECT data_type FROM information_schema.columns"
            " WHERE table_name = 'workouts' AND column_name = %s",
            [figure.name],
        ).fetchone()
        index = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = %s",
            [f"workouts_by_{figure.name}"],
        ).fetchone()
    assert column == {"data_type": POSTGRESQL[listed.kind]}
    assert index is not None
    assert f"(user_id, {figure.name}, start_time, id) WHERE" in index["indexdef"]


def test_a_summary_of_another_version_is_served_with_null_for_what_it_lacks() -> None:
    old = {"avgPower": 200, "duration": 60, "precise": {"avgPower": 200.4}}
    served = complete(old)
    assert (served["avgPower"], served["duration"]) == (200, 60)
    assert served["xPower"] is served["powerZones"] is served["maxPower"] is None
    assert served["precise"]["avgPower"] == 200.4
    assert served["precise"]["maxPower"] is None
    assert "sampleCount" not in served  # it was never null


def test_lists_that_were_stored_before_they_were_bounded_are_served_in_part() -> None:
    served = complete({"gaps": [{"from": 1, "to": 2}] * 7200, "spikes": []})
    assert (len(served["gaps"]), served["spikes"], served["gapCount"]) == (200, [], None)


def test_what_a_newer_version_knows_is_served_as_it_is() -> None:
    strays: list[Any] = [{"from": 1, "to": 2}]
    newer = {"avgPower": 200, "strays": strays, "gaps": "another form", "precise": {"grit": 0.5}}
    served = complete(newer)
    assert (served["strays"], served["gaps"]) == (strays, "another form")
    assert served["precise"]["grit"] == 0.5
