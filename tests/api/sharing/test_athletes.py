"""Riders and their coaches: offering, accepting, ending, and what a coach sees first."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb
from starlette.requests import Request

from api.identity.auth import Authenticator
from api.sharing.athletes import MOST_ATHLETES
from api.sharing.people import MOST_PEOPLE
from ops.admin.accounts import set_disabled
from shared.connections import Database, open_async_database
from shared.settings import Settings
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.api.identity.test_auth import offered_to
from tests.api.live.streams import watching
from tests.api.sessions import log_in, register
from tests.api.sharing.test_let_in import accept
from tests.conftest import Rider


def people_of(athlete: Rider) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = athlete.client.get("/api/shares").json()["people"]
    return people


def athletes_of(reader: Rider) -> dict[str, Any]:
    answer = reader.client.get("/api/athletes")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def offer(athlete: Rider, email: str, **headers: str) -> Any:
    return athlete.client.post("/api/shares", json={"email": email}, headers=headers)


def reads(reader: Rider, athlete: Rider) -> bool:
    query = {"athlete": athlete.account.user_id}
    answer = reader.client.get("/api/workouts", params=query)
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


@pytest.fixture
def coach(make_rider: Any) -> Rider:
    found: Rider = make_rider()
    return found


def test_an_athlete_is_read_once_the_offer_is_accepted(rider: Rider, coach: Rider) -> None:
    rider.client.patch("/api/users/me", json={"displayName": "Ada"})
    coach.client.patch("/api/users/me", json={"displayName": "Grace"})
    made = offer(rider, coach.account.email).json()["share"]
    assert (made["scope"], made["name"], made["acceptedAt"]) == ("read", None, None)
    [offered] = athletes_of(coach)["offered"]
    assert (offered["id"], offered["name"]) == (rider.account.user_id, "Ada")
    assert not reads(coach, rider)

    assert coach.client.post(f"/api/athletes/{offered['id']}/accept").json() == {"success": True}
    assert reads(coach, rider)
    [athlete] = athletes_of(coach)["athletes"]
    assert (athlete["name"], athletes_of(coach)["offered"]) == ("Ada", [])
    [person] = people_of(rider)
    assert (person["id"], person["name"]) == (made["id"], "Grace")
    assert person["acceptedAt"] == athlete["acceptedAt"]
    assert not reads(rider, coach)


def test_a_rider_without_a_name_is_called_by_what_the_address_begins_with(
    rider: Rider, coach: Rider
) -> None:
    offered_to(coach, rider)
    [offered] = athletes_of(coach)["offered"]
    assert offered["name"] == rider.account.email.partition("@")[0]
    assert rider.account.email not in str(athletes_of(coach))


def test_what_was_accepted_twice_is_accepted_once(rider: Rider, coach: Rider) -> None:
    accept(coach, rider)
    before = people_of(rider)
    place = f"/api/athletes/{rider.account.user_id}/accept"
    assert coach.client.post(place).status_code == 200
    assert people_of(rider) == before


@pytest.mark.parametrize("ends", ["athlete", "reader"])
def test_it_is_over_at_the_next_request(rider: Rider, coach: Rider, ends: str) -> None:
    share = accept(coach, rider)
    assert reads(coach, rider)
    if ends == "athlete":
        assert rider.client.delete(f"/api/shares/{share}").status_code == 200
    else:
        place = f"/api/athletes/{rider.account.user_id}"
        assert coach.client.delete(place).status_code == 200
    assert not reads(coach, rider)
    assert athletes_of(coach) == {"athletes": [], "offered": []}
    assert people_of(rider) == []
    problem_of(rider.client.delete(f"/api/shares/{share}"), 404)


def test_an_offer_is_declined_by_leaving(rider: Rider, coach: Rider) -> None:
    athlete = offered_to(coach, rider)
    assert coach.client.delete(f"/api/athletes/{athlete}").status_code == 200
    problem_of(coach.client.post(f"/api/athletes/{athlete}/accept"), 404)
    assert people_of(rider) == []


def test_nothing_tells_whether_an_address_has_an_account(rider: Rider, coach: Rider) -> None:
    nobody = f"{uuid4().hex[:12]}@example.com"
    answers = [offer(rider, email) for email in (coach.account.email, nobody)]
    alike = [
        {name: text for name, text in answer.json()["share"].items() if name not in CHANGING}
        for answer in answers
    ]
    assert alike[0] == alike[1]
    assert [answer.status_code for answer in answers] == [201, 201]
    listed = [
        {name: text for name, text in each.items() if name not in CHANGING}
        for each in people_of(rider)
    ]
    assert listed == alike
    for answer in answers:  # both can be offered again, which is the same offer, and ended
        again = offer(rider, answer.json()["share"]["email"].upper())
        assert (again.status_code, again.json()) == (201, answer.json())
        assert rider.client.delete(f"/api/shares/{again.json()['share']['id']}").is_success
    assert people_of(rider) == []


CHANGING = {"id", "email", "createdAt"}


def test_an_offer_stays_as_it_looked_when_the_account_goes(
    rider: Rider, coach: Rider, database: Database
) -> None:
    offered_to(coach, rider)
    before = people_of(rider)
    with database.connection() as connection:
        connection.execute("DELETE FROM users WHERE id = %s", [coach.account.user_id])
    assert people_of(rider) == before


def test_who_registers_later_does_not_get_what_was_offered_before(rider: Rider, api: str) -> None:
    email = f"{uuid4().hex[:12]}@example.com"
    assert offer(rider, email).status_code == 201
    register(api, email=email)
    session = log_in(api, email)
    assert session.call("GET", "/api/athletes").json() == {"athletes": [], "offered": []}
    place = f"/api/athletes/{rider.account.user_id}/accept"
    problem_of(session.call("POST", place), 404)
    assert offer(rider, email).status_code == 201
    assert len(session.call("GET", "/api/athletes").json()["offered"]) == 1


def test_an_address_is_one_of_another_account(rider: Rider) -> None:
    own = rider.account.email
    for email in (own, own.upper(), "nowhere", ""):
        problem = problem_of(offer(rider, email), 422)
        assert problem["errors"][0]["member"] == "email"
    problem_of(rider.client.post("/api/shares", json={"email": "a@b.ch", "scope": "admin"}), 422)
    assert people_of(rider) == []


def test_who_has_accepted_is_not_asked_again(rider: Rider, coach: Rider) -> None:
    accept(coach, rider)
    assert problem_of(offer(rider, coach.account.email), 409)["type"].endswith("duplicate")
    assert reads(coach, rider)


def test_an_offer_is_made_once_however_often_it_is_sent(rider: Rider, coach: Rider) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (offer(rider, coach.account.email, **key) for _ in range(2))
    assert first.json() == again.json()
    share = first.json()["share"]["id"]
    assert [each["id"] for each in people_of(rider)] == [share]
    rider.client.delete(f"/api/shares/{share}")
    assert problem_of(offer(rider, coach.account.email, **key), 409)["type"].endswith("since")


def test_so_many_may_be_let_in(rider: Rider) -> None:
    for _ in range(MOST_PEOPLE):
        assert offer(rider, f"{uuid4().hex[:12]}@example.com").status_code == 201
    answer = offer(rider, "one-more@example.com")
    assert str(MOST_PEOPLE) in problem_of(answer, 409)["detail"]
    assert len(people_of(rider)) == MOST_PEOPLE
    assert offer(rider, people_of(rider)[0]["email"]).status_code == 201  # it is one of them


def test_so_many_athletes_may_be_read(rider: Rider, coach: Rider, database: Database) -> None:
    athlete = offered_to(coach, rider)
    with database.connection() as connection:
        connection.execute(
            "WITH made AS (INSERT INTO users (email) SELECT gen_random_uuid() || '@example.com'"
            " FROM generate_series(1, %s) RETURNING id)"
            " INSERT INTO athlete_shares (user_id, reader_id, email, accepted_at)"
            " SELECT id, %s, '', now() FROM made",
            [MOST_ATHLETES, coach.account.user_id],
        )
    answer = coach.client.post(f"/api/athletes/{athlete}/accept")
    assert str(MOST_ATHLETES) in problem_of(answer, 409)["detail"]
    assert not reads(coach, rider)


@pytest.mark.parametrize("goes", ["rider", "coach"])
def test_a_disabled_user_is_gone_on_both_sides(
    rider: Rider, coach: Rider, database: Database, goes: str
) -> None:
    accept(coach, rider)
    gone, stays = (rider, coach) if goes == "rider" else (coach, rider)
    with database.connection() as connection:
        query = "UPDATE users SET disabled_at = now() WHERE id = %s"
        connection.execute(query, [gone.account.user_id])
    if goes == "rider":
        assert athletes_of(stays) == {"athletes": [], "offered": []}
        assert not reads(stays, gone)
        problem_of(stays.client.delete(f"/api/athletes/{gone.account.user_id}"), 404)
    else:
        eventually(lambda: gone.client.get("/api/athletes").status_code == 401)


def test_who_is_disabled_is_listed_and_ended_before_being_enabled_again(
    rider: Rider, coach: Rider, database_url: str
) -> None:
    accept(coach, rider)
    set_disabled(database_url, coach.account.email, disabled=True)
    [person] = people_of(rider)
    assert rider.client.delete(f"/api/shares/{person['id']}").status_code == 200
    set_disabled(database_url, coach.account.email, disabled=False)
    assert not reads(coach, rider)


def test_with_an_account_goes_what_it_read(rider: Rider, api: str, database: Database) -> None:
    email = register(api)
    session = log_in(api, email)
    offer(rider, email)
    place = f"/api/athletes/{rider.account.user_id}/accept"
    assert session.call("POST", place).status_code == 200
    assert session.call("DELETE", "/api/users/me").status_code == 202
    assert people_of(rider) == []
    with database.connection() as connection:
        query = "SELECT count(*) AS left FROM athlete_shares WHERE lower(email) = lower(%s)"
        found = connection.execute(query, [email]).fetchone()
    assert found == {"left": 0}


def test_a_live_stream_ends_once_the_reader_is_let_in_no_more(rider: Rider, coach: Rider) -> None:
    share = accept(coach, rider)
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0, "power": 200}])
    place = f"/api/workouts/{workout}/live?athlete={rider.account.user_id}&from=0"
    with watching(coach.client, place) as stream:
        stream.watch_until(T0)
        rider.client.delete(f"/api/shares/{share}")
        ended_at = time.monotonic()
        assert {each.name for each in stream.events()} <= {"summary"}
        assert time.monotonic() - ended_at < 5
    problem_of(coach.client.get(place), 404)


def test_what_was_done_is_on_record_on_both_sides(
    rider: Rider, coach: Rider, database: Database
) -> None:
    share = accept(coach, rider)
    coach.client.delete(f"/api/athletes/{rider.account.user_id}")
    with database.connection() as connection:
        acts = [
            [
                (row["action"], row["detail"]["share"])
                for row in connection.execute(
                    "SELECT action, detail FROM audit_log WHERE user_id = %s"
                    " AND detail ? 'share' ORDER BY created_at, id",
                    [one.account.user_id],
                )
            ]
            for one in (rider, coach)
        ]
    assert acts[0] == [("share_with", share), ("share_accepted", share), ("share_left", share)]
    assert acts[1] == [("accept_athlete", share), ("leave_athlete", share)]


def test_when_somebody_read_last_is_noted_in_one_go(
    rider: Rider, coach: Rider, settings: Settings
) -> None:
    share = accept(coach, rider)

    async def read_and_note() -> None:
        async with open_async_database(settings) as database:
            authenticator = Authenticator(database)
            headers = [(b"x-api-key", coach.account.api_key.encode())]
            request = Request[Any]({"type": "http", "query_string": b"", "headers": headers})
            caller = await authenticator.authenticate(request, "read")
            reader = await authenticator.read_as(caller, rider.account.user_id)
            assert (reader.user_id, reader.own_id) == (
                UUID(rider.account.user_id),
                UUID(coach.account.user_id),
            )
            assert reader.scopes == {"read"}
            assert people_of(rider)[0]["lastReadAt"] is None
            await authenticator.note_use()

    asyncio.run(read_and_note())
    [person] = people_of(rider)
    assert person["id"] == share
    assert person["lastReadAt"] > person["acceptedAt"]


def ride_on(rider: Rider, database: Database, day: datetime, stress: float | None) -> None:
    """A ride of an hour and 800 kJ that is over."""
    precise = {"totalEnergy": 800.25, "trainingStressScore": stress}
    summary = {"recordedTime": 3600, "trainingStressScore": stress, "precise": precise}
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, status, title, start_time, summary)"
            " VALUES (%s, 'COMPLETED', 'Ride', %s, %s)",
            [rider.account.user_id, day, Jsonb(summary)],
        )


def test_form_and_week_are_those_that_the_athlete_is_told(
    rider: Rider, coach: Rider, database: Database
) -> None:
    zone = {"timeZone": "Pacific/Auckland"}
    rider.client.patch("/api/users/me", json=zone)
    accept(coach, rider)
    now = datetime.now(UTC)
    for days in (
        0,
        0.2,
        1,
        1.5,
        2,
        3,
        5,
        6.9,
        7.5,
        20,
        41.7,
        90,
        400,
        1088,
        1089,
        1090,
        1200,
        2000,
    ):
        ride_on(rider, database, now - timedelta(days=days), 61.37 + days / 7)
    ride_on(rider, database, now + timedelta(days=2), 500)
    ride_on(rider, database, now - timedelta(days=4), None)

    [athlete] = athletes_of(coach)["athletes"]
    own = rider.client.get("/api/fitness").json()["fitness"][-1]
    assert athlete["form"] == {name: own[name] for name in ("ctl", "atl", "tsb")}
    assert athlete["timeZone"] == "Pacific/Auckland"
    monday = athlete["week"]["start"]
    totals = rider.client.get("/api/stats", params={"sport": "all"}).json()["totals"]
    [week] = [each for each in totals if each["start"] == monday]
    assert athlete["week"] == {name: week[name] for name in athlete["week"]}


@pytest.mark.parametrize(
    ("days", "form"), [([], None), ([1500], {"ctl": 0.0, "atl": 0.0, "tsb": 0.0})]
)
def test_without_stress_there_is_no_form_and_with_old_stress_alone_it_is_nought(
    rider: Rider, coach: Rider, database: Database, days: list[int], form: Any
) -> None:
    accept(coach, rider)
    ride_on(rider, database, datetime.now(UTC), None)
    for day in days:
        ride_on(rider, database, datetime.now(UTC) - timedelta(days=day), 100)
    [athlete] = athletes_of(coach)["athletes"]
    own = rider.client.get("/api/fitness").json()["fitness"]
    assert athlete["form"] == form
    assert (own[-1]["ctl"] if own else None) == (form and form["ctl"])


def test_the_last_ride_is_the_newest_that_is_over(rider: Rider, coach: Rider) -> None:
    accept(coach, rider)
    thresholds = {"effectiveFrom": "2020-01-01", "ftp": 200}
    rider.client.put("/api/users/me/thresholds", json=thresholds)
    over = rider.start(title="Over", startTime="2023-11-14T22:13:20Z")
    rider.upload(over, seconds_of(200, 3600))
    rider.complete(over)
    rider.start(title="Under way")
    eventually(lambda: athletes_of(coach)["athletes"][0]["lastRide"] is not None)
    [athlete] = athletes_of(coach)["athletes"]
    assert (athlete["lastRide"]["id"], athlete["lastRide"]["title"]) == (over, "Over")
    # An hour at FTP is a TSS of 100.
    assert athlete["lastRide"]["trainingStressScore"] == pytest.approx(100, abs=0.1)


def test_athletes_are_listed_by_name(coach: Rider, make_rider: Any) -> None:
    for name in ("carl", "Bea", "anna"):
        athlete = make_rider()
        athlete.client.patch("/api/users/me", json={"displayName": name})
        accept(coach, athlete)
    names = [each["name"] for each in athletes_of(coach)["athletes"]]
    assert names == ["anna", "Bea", "carl"]
