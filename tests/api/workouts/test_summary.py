"""Summaries as they are served: as the document has them, whichever version stored them."""

from typing import Any

import msgspec
import pytest
from psycopg.types.json import Jsonb

from api.app import SUBJECTS
from api.web.openapi import document
from shared.connections import Database
from shared.figures import FIGURES, Summary
from tests.api.answers import seconds_of
from tests.conftest import Rider

MEMBERS = {figure.member for figure in FIGURES}


def as_served(summary: Any) -> Summary:
    """Raises ValidationError for one that the document does not describe."""
    assert summary.keys() == MEMBERS
    return msgspec.convert(summary, Summary)


def test_a_summary_has_every_figure_of_the_table_in_its_type(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    summary = as_served(rider.complete(workout)["summary"])
    assert (summary.avg_power, summary.sample_count) == (200, 60)
    assert (summary.avg_speed, summary.power_zones) == (None, None)
    assert summary.precise.total_energy == 12  # 200 W for 60 s


def test_a_ride_without_samples_has_every_figure_too(rider: Rider) -> None:
    summary = as_served(rider.complete(rider.start())["summary"])
    assert (summary.sample_count, summary.avg_power) == (0, None)


@pytest.mark.parametrize("path", ["/api/workouts/{id}", "/api/workouts"])
def test_a_summary_of_another_version_is_served_like_one_of_this(
    rider: Rider, database: Database, path: str
) -> None:
    workout = rider.start()
    stored = {"avgPower": 200, "methodVersion": 99, "grit": 0.5}
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET summary = %s WHERE id = %s", [Jsonb(stored), workout]
        )
    response = rider.client.get(path.replace("{id}", workout))
    assert response.status_code == 200
    answer = response.json()
    served = (answer.get("workout") or answer["workouts"][0])["summary"]
    assert {name: served[name] for name in stored} == stored
    assert served["xPower"] is None


def test_the_document_says_the_unit_and_the_definition_of_each_figure() -> None:
    schemas = document(SUBJECTS, "1")["components"]["schemas"]
    for figure in FIGURES:
        published = schemas["Summary"]["properties"][figure.member]
        assert published.get("x-unit", "") == figure.unit
        assert published["description"].endswith(figure.definition)
    assert set(schemas["Summary"]["required"]) == MEMBERS  # null rather than absent
    for name in ("Precise", "Gap", "Spike", "Parameters"):
        assert all("description" in each for each in schemas[name]["properties"].values())
    assert schemas["Spike"]["properties"]["power"]["x-unit"] == "W"
