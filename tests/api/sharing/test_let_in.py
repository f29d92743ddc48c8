"""Who reads an athlete's data: the one who was let in, all of it; anybody else, nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api.app import OPERATIONS
from shared.connections import open_database
from shared.settings import read_settings
from tests.api.answers import problem_of
from tests.api.identity.test_auth import (
    GUARDED,
    STREAMS,
    Described,
    Places,
    call,
    every_guarded,
    everything_of,
    lasting,
    make_places,
    offered_to,
)
from tests.conftest import Rider, making_riders

# What `read` opens and is the account's own: no reader of an athlete sees it.
PRIVATE = {"get_user", "list_shares", "get_places", "list_athletes"}
# What ignores parameters that it does not know.
OPEN = {each.handler.__name__ for each in OPERATIONS if each.is_open}
TAKES = {each.handler.__name__ for each in OPERATIONS if each.takes_athlete}


def accept(reader: Rider, athlete: Rider) -> str:
    """Have an athlete let a reader in: the id of the share."""
    athlete_id = offered_to(reader, athlete)
    assert reader.client.post(f"/api/athletes/{athlete_id}/accept").status_code == 200
    return share_with(athlete)


def share_with(athlete: Rider) -> str:
    return str(athlete.client.get("/api/shares").json()["people"][0]["id"])


def name_of(operation: Described) -> str:
    return str(operation.content["operationId"])


every_read = pytest.mark.parametrize(
    "operation", [each for each in GUARDED if name_of(each) in TAKES], ids=str
)


@dataclass(frozen=True)
class Athlete:
    """An athlete with things of every kind, and who reads them or not."""

    rider: Rider
    places: Places
    let_in: Rider
    ended: Rider
    asked: Rider

    @property
    def id(self) -> str:
        return self.rider.account.user_id

    def ask(self, service: str, who: Rider, operation: Described, athlete: str) -> httpx2.Response:
        key = {"X-API-Key": who.account.api_key}
        asked = replace(operation, query={"athlete": athlete})
        return call(service, asked, self.places, **key)


@pytest.fixture(scope="module")
def athlete(service: str, urls: Mapping[str, str], database_url: str) -> Iterator[Athlete]:
    """Whose rides one other reads, one does not any more, and one has not accepted to."""
    with (
        making_riders(service, database_url) as make,
        open_database(read_settings(urls)) as database,
    ):
        rider = make()
        places = make_places(database, rider) | {"app": app_of(rider)}
        yield athlete_of(rider, places, *(make() for _ in range(3)))


def app_of(rider: Rider) -> str:
    wanted = {"name": "test", "redirectUris": ["https://app.example/done"]}
    return str(rider.client.post("/api/apps", json=wanted).json()["app"]["id"])


def athlete_of(rider: Rider, places: Places, let_in: Rider, ended: Rider, asked: Rider) -> Athlete:
    accept(let_in, rider)
    share = accept(ended, rider)
    assert rider.client.delete(f"/api/shares/{share}").status_code == 200
    offered_to(asked, rider)
    return Athlete(rider, places, let_in, ended, asked)


def test_each_read_takes_an_athlete_or_is_of_the_account_alone() -> None:
    reads = {
        each.handler.__name__
        for each in OPERATIONS
        if each.method == "GET" and "read" in each.scopes
    }
    assert reads == TAKES | PRIVATE
    assert not TAKES & PRIVATE


def test_the_document_names_the_athlete_where_one_is_taken() -> None:
    for operation in GUARDED:
        names = {each["name"] for each in operation.content["parameters"] if each["in"] == "query"}
        assert ("athlete" in names) == (name_of(operation) in TAKES), str(operation)


@every_read
def test_who_was_let_in_reads_what_the_athlete_reads(
    athlete: Athlete, service: str, operation: Described
) -> None:
    own = call(service, operation, athlete.places, **{"X-API-Key": athlete.rider.account.api_key})
    read = athlete.ask(service, athlete.let_in, operation, athlete.id)
    assert (read.status_code, own.status_code) == (200, 200)
    if str(operation) not in STREAMS:
        assert lasting(read) == lasting(own)
        if read.content == own.content:
            assert read.headers.get("etag") == own.headers.get("etag")


@every_read
def test_who_was_not_let_in_is_told_the_same_as_of_nobody(
    athlete: Athlete, service: str, operation: Described
) -> None:
    answers = [
        athlete.ask(service, who, operation, athlete_id)
        for who, athlete_id in (
            (athlete.ended, athlete.id),
            (athlete.asked, athlete.id),
            (athlete.let_in, str(uuid4())),
            (athlete.let_in, athlete.let_in.account.user_id),
            (athlete.let_in, athlete.asked.account.user_id),
            (athlete.let_in, "nobody"),
            (athlete.let_in, ""),
        )
    ]
    for answer in answers:
        problem_of(answer, 404)
    assert len({answer.content for answer in answers}) == 1
    heads = [
        [pair for pair in answer.headers.multi_items() if pair[0] != "date"] for answer in answers
    ]
    assert all(head == heads[0] for head in heads)


@every_guarded
def test_nothing_else_takes_an_athlete(
    athlete: Athlete, service: str, operation: Described
) -> None:
    if name_of(operation) in TAKES:
        return
    before = everything_of(athlete.rider, athlete.places)
    answer = athlete.ask(service, athlete.let_in, operation, athlete.id)
    if name_of(operation) in OPEN:
        problem_of(answer, 404)  # the ride is not the caller's
    else:
        assert problem_of(answer, 422)["errors"][0]["member"] == "athlete"
    assert everything_of(athlete.rider, athlete.places) == before


def test_a_key_that_may_not_read_reads_no_athlete(
    athlete: Athlete, service: str, make_api_key: Any
) -> None:
    key = make_api_key(athlete.let_in.account.user_id, ["upload"])
    place = f"{service}/api/uploads/{athlete.places['upload']}"
    headers = {"X-API-Key": key}
    answer = httpx2.get(place, params={"athlete": athlete.id}, headers=headers)
    assert "`read`" in problem_of(answer, 403)["detail"]
