"""What webhooks are told is what the API answers."""

from typing import Any

import msgspec
from openapi_schema_validator import OAS31Validator

from api.app import SUBJECTS
from api.web.body import JSON
from api.web.openapi import document
from shared.connections import Database
from shared.webhooks import EVENTS
from tests.api.answers import T0
from tests.api.files.ride_files import ended, fit, gpx, imported, post
from tests.conftest import Rider
from tests.worker.waiting import eventually
from tests.worker.webhooks.receiving import Receiver, receiver
from tests.worker.webhooks.telling import Webhooks

LATER = T0 + 36_000_000
DOCUMENT = document(SUBJECTS, "1")


def test_the_document_has_a_message_of_each_event() -> None:
    assert tuple(DOCUMENT["webhooks"]) == EVENTS


def _told(found: Receiver, event: str, number: int = 1) -> Any:
    """The data of the newest message about that, once there are so many."""

    def told() -> list[Any]:
        messages = [msgspec.json.decode(each.body) for each in found.received]
        return [each for each in messages if each["type"] == event]

    eventually(lambda: len(told()) >= number)
    content = DOCUMENT["webhooks"][event]["post"]["requestBody"]["content"][JSON]
    whole = {**content["schema"], "components": DOCUMENT["components"]}
    errors = [error.message for error in OAS31Validator(whole).iter_errors(told()[-1])]
    assert errors == []
    return told()[-1]["data"]


def test_a_completed_ride_is_told_as_it_is_answered(rider: Rider, database: Database) -> None:
    """Out of a stream of samples, and out of a file with laps and a device."""
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        ride = rider.start(title="Col", description="d")
        rider.upload(ride, [{"timestamp": T0 + k * 1000, "power": 200.5} for k in range(90)])
        rider.complete(ride)
        assert _told(found, "workout.completed") == rider.workout(ride)
        [message] = [m for m in found.received if b'"workout.completed"' in m.body]
        assert set(message.message) == {"type", "timestamp", "data"}
        from_file = imported(rider, fit(120, laps=3, second=40_000))
        told = _told(found, "workout.completed", 2)
        assert told == rider.workout(from_file)
        assert told["laps"]
        assert told["device"]


def test_a_changed_ride_is_told_as_it_is_answered(rider: Rider, database: Database) -> None:
    """Cropped, with a range that sets no records and one without samples."""
    ride = imported(rider, fit(300, laps=3))
    start = _ms(rider, ride)
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        for path, members in (
            ("exclude", {"from": start + 60_000, "to": start + 70_000}),
            ("exclude", {"from": start + 90_000, "to": start + 95_000}),
            ("crop", {"from": start + 20_000}),
        ):
            answer = rider.client.post(f"/api/workouts/{ride}/{path}", json=members)
            assert answer.is_success, answer.text
        assert rider.client.patch(f"/api/workouts/{ride}", json={"title": "Passo"}).is_success

        def is_told() -> bool:
            now = rider.workout(ride)
            return _told(found, "workout.updated") == now and bool(now["crop"] and now["title"])

        eventually(is_told)
    assert len(_told(found, "workout.updated")["excludedRanges"]) == 2
    assert rider.client.delete(f"/api/workouts/{ride}").is_success


def test_a_deleted_ride_is_told_by_its_id(rider: Rider, database: Database) -> None:
    ride = rider.start()
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        assert rider.client.delete(f"/api/workouts/{ride}").is_success
        told = _told(found, "workout.deleted")
    assert told == {"id": ride, "userId": rider.account.user_id}


def test_an_upload_that_failed_is_told_as_it_is_answered(rider: Rider, database: Database) -> None:
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        sent = post(rider, b"<gpx></gpx>", "broken.gpx").json()["upload"]["id"]
        assert ended(rider, sent)["status"] == "failed"
        assert _told(found, "upload.failed") == ended(rider, sent)


def test_records_are_told_as_they_are_listed(rider: Rider, database: Database) -> None:
    imported(rider, gpx(600, power=200))
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        imported(rider, gpx(600, LATER, power=250))
        told = _told(found, "record.set")
    listed = rider.client.get("/api/records").json()["records"]
    for each in told["records"]:
        [same] = [r for r in listed if (r["metric"], r["duration"]) == _key(each)]
        shared = ("sport", "value", "startedAt")
        assert [each[name] for name in shared] == [same[name] for name in shared]
        assert same["workoutId"] == told["workoutId"]
        assert each["value"] > each["previous"]["value"]
    assert any(_key(each) == ("power", 300) for each in told["records"])


def test_records_that_a_ride_sets_in_another_sport_are_told(
    rider: Rider, database: Database
) -> None:
    """Once it is called a ride of that."""
    ride = imported(rider, gpx(600, power=200))
    with receiver() as found:
        Webhooks(database).add(rider.account.user_id, found.url)
        changed = rider.client.patch(f"/api/workouts/{ride}", json={"sport": "running"})
        assert changed.is_success, changed.text
        told = _told(found, "record.set")
    assert told["workoutId"] == ride
    assert {each["sport"] for each in told["records"]} == {"running"}


def _key(record: Any) -> tuple[str, int]:
    return record["metric"], record["duration"]


def _ms(rider: Rider, ride: str) -> int:
    """When the ride began, in ms."""
    laps = rider.workout(ride)["laps"]
    return int(laps[0]["start"])
