"""What is told of rides, records and uploads, by whichever transaction changes them."""

from uuid import UUID

from psycopg.types.json import Jsonb

from shared.samples.columns import Samples
from tests.worker.readings import steady
from tests.worker.webhooks.telling import Webhooks
from tests.worker.workouts import Workouts
from worker.jobs.fold import fold


def _fold(workouts: Workouts, workout_id: UUID, *batches: Samples) -> None:
    workouts.send(workout_id, *batches)
    fold(workouts.database, workouts.redis, workout_id)


def _completed(workouts: Workouts, watts: float = 200, begin: int = 0) -> UUID:
    workout_id = workouts.start()
    workouts.complete(workout_id)
    _fold(workouts, workout_id, steady(60, begin, power=watts))
    return workout_id


def test_a_completed_ride_is_told_once_with_its_records_behind_it(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    webhook = webhooks.add(workouts.user_id)
    ride = _completed(workouts)
    [(first, data), (second, records)] = webhooks.told(webhook)
    assert (first, second) == ("workout.completed", "record.set")
    assert data["id"] == records["workoutId"] == str(ride)
    assert data["status"] == "COMPLETED"
    assert data["summary"]["avgPower"] == 200
    _fold(workouts, ride)  # with nothing new
    assert len(webhooks.deliveries(webhook)) == 2


def test_a_ride_under_way_is_told_of_when_it_is_over(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    """Its records, too, although the checkpoints have written them before."""
    webhook = webhooks.add(workouts.user_id)
    ride = workouts.start()
    _fold(workouts, ride, steady(60, power=200))
    assert webhooks.told(webhook) == []
    workouts.complete(ride)
    _fold(workouts, ride)
    assert [event for event, _ in webhooks.told(webhook)] == ["workout.completed", "record.set"]


def test_late_samples_and_words_are_an_update(workouts: Workouts, webhooks: Webhooks) -> None:
    ride = _completed(workouts)
    webhook = webhooks.add(workouts.user_id, events=["workout.updated"])
    _fold(workouts, ride, steady(60, 60, power=100))
    webhooks.run("UPDATE workouts SET title = 'Col' WHERE id = %s", [ride])
    [(_, first), (_, second)] = webhooks.told(webhook)
    assert (first["summary"]["avgPower"], first["title"]) == (150, None)
    assert (second["summary"]["avgPower"], second["title"]) == (150, "Col")


def test_what_nobody_sees_is_no_update(workouts: Workouts, webhooks: Webhooks) -> None:
    """That a fold is due, and was done with the same result."""
    ride = _completed(workouts)
    webhook = webhooks.add(workouts.user_id)
    webhooks.run("UPDATE workouts SET stale = true, fold_asked_at = now() WHERE id = %s", [ride])
    _fold(workouts, ride)
    webhooks.run("UPDATE workouts SET title = title, updated_at = now() WHERE id = %s", [ride])
    assert webhooks.told(webhook) == []


def test_of_several_updates_by_one_transaction_the_last_is_told(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    ride = _completed(workouts)
    webhook = webhooks.add(workouts.user_id, events=["workout.updated"])
    with workouts.database.connection() as connection:
        for title in ("one", "two"):
            connection.execute("UPDATE workouts SET title = %s WHERE id = %s", [title, ride])
    [(_, data)] = webhooks.told(webhook)
    assert data["title"] == "two"
    webhooks.run("UPDATE workouts SET title = 'three' WHERE id = %s", [ride])
    assert [data["title"] for _, data in webhooks.told(webhook)] == ["two", "three"]


def test_of_a_deleted_ride_its_id_is_told(workouts: Workouts, webhooks: Webhooks) -> None:
    """Also of one that was under way."""
    webhook = webhooks.add(workouts.user_id)
    ride = workouts.start()
    workouts.set_status(ride, "DELETED")
    workouts.set_status(ride, "DELETED")
    told = {"id": str(ride), "userId": workouts.user_id}
    assert webhooks.told(webhook) == [("workout.deleted", told)]


def test_a_ride_that_was_given_up_and_put_right_is_an_update(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    ride = _completed(workouts)
    webhook = webhooks.add(workouts.user_id)
    for status in ("FAILED", "COMPLETED"):
        workouts.set_status(ride, status)
    told = [(event, data["status"]) for event, data in webhooks.told(webhook)]
    assert told == [("workout.updated", "FAILED"), ("workout.updated", "COMPLETED")]


def test_records_are_told_with_what_they_were_before(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    first = _completed(workouts, 200)
    webhook = webhooks.add(workouts.user_id, events=["record.set"])
    _completed(workouts, 150, begin=10_000)
    assert webhooks.told(webhook) == []
    better = _completed(workouts, 250, begin=20_000)
    [(_, data)] = webhooks.told(webhook)
    assert data["workoutId"] == str(better)
    minute = next(each for each in data["records"] if each["duration"] == 60)
    assert minute == {
        "sport": "cycling",
        "metric": "power",
        "duration": 60,
        "value": 250.0,
        "startedAt": minute["startedAt"],
        "previous": {"value": 200.0, "workoutId": str(first)},
    }
    assert data["records"] == [each for each in data["records"] if each["metric"] == "power"]


def test_a_record_that_is_bettered_by_late_samples_is_told(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    """Those that stay as they were are not told again."""
    ride = _completed(workouts)
    webhook = webhooks.add(workouts.user_id, events=["record.set"])
    _fold(workouts, ride, steady(5, 60, power=300))
    [(_, data)] = webhooks.told(webhook)
    values = {each["duration"]: each["value"] for each in data["records"]}
    assert values[5] == 300
    _fold(workouts, ride, steady(5, 65, power=50))
    assert len(webhooks.told(webhook)) == 1


def test_an_upload_that_fails_is_told(workouts: Workouts, webhooks: Webhooks) -> None:
    """Also one out of a zip that has failed before it was read."""
    webhook = webhooks.add(workouts.user_id)
    insert = (
        "INSERT INTO uploads (user_id, filename, size, sha256, status, reason, duplicates)"
        " VALUES (%s, %s, 3, %s, %s, %s, %s) RETURNING id"
    )
    values = [workouts.user_id, "a.fit", b"x" * 32]
    [sent] = webhooks.rows(insert, [*values, "queued", None, Jsonb([])])
    webhooks.rows(insert, [*values, "failed", "is empty", Jsonb([])])
    failing = "UPDATE uploads SET status = %s, reason = %s WHERE id = %s"
    webhooks.run(failing, ["processing", None, sent["id"]])
    webhooks.run(failing, ["failed", "is no FIT file", sent["id"]])
    told = [(event, data["reason"]) for event, data in webhooks.told(webhook)]
    assert told == [("upload.failed", "is empty"), ("upload.failed", "is no FIT file")]


def test_each_webhook_gets_what_it_wants_of_its_own_user(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    """The same message for all; nothing for one that is disabled, and nothing of others."""
    [other] = webhooks.rows("INSERT INTO users (email) VALUES ('o@example.com') RETURNING id")
    wants = webhooks.add(workouts.user_id, events=["workout.deleted"])
    wants_too = webhooks.add(workouts.user_id, events=["workout.deleted", "upload.failed"])
    wants_other = webhooks.add(workouts.user_id, events=["upload.failed"])
    disabled = webhooks.add(workouts.user_id)
    webhooks.run("UPDATE webhooks SET disabled_at = now() WHERE id = %s", [disabled])
    stranger = webhooks.add(str(other["id"]))
    workouts.set_status(workouts.start(), "DELETED")
    [[first], [second]] = webhooks.deliveries(wants), webhooks.deliveries(wants_too)
    assert first["message_id"] == second["message_id"]
    assert [webhooks.told(each) for each in (wants_other, disabled, stranger)] == [[], [], []]


def test_nothing_is_told_of_what_is_rolled_back(workouts: Workouts, webhooks: Webhooks) -> None:
    webhook = webhooks.add(workouts.user_id)
    ride = workouts.start()
    with workouts.database.connection() as connection:
        connection.execute("UPDATE workouts SET status = 'DELETED' WHERE id = %s", [ride])
        connection.rollback()
    assert webhooks.told(webhook) == []


def test_with_a_user_goes_all_that_was_to_be_told_and_what_has_changed(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    """Also the workers that remove what belongs to a deleted user note nothing more of it."""
    user, left = workouts.user_id, "SELECT * FROM changes WHERE user_id = %s"
    webhooks.add(user)
    ride = workouts.start()
    workouts.set_status(ride, "DELETED")
    assert webhooks.rows(left, [user])
    webhooks.run("UPDATE users SET deleted_at = now() WHERE id = %s", [user])
    webhooks.run("DELETE FROM changes")
    webhooks.run("UPDATE workouts SET title = 'x' WHERE id = %s", [ride])
    assert webhooks.rows(left, [user]) == []
    webhooks.run("UPDATE users SET deleted_at = NULL WHERE id = %s", [user])
    webhooks.run("UPDATE workouts SET title = 'y' WHERE id = %s", [ride])
    webhooks.run("DELETE FROM users WHERE id = %s", [user])
    for rows in (left, "SELECT * FROM webhooks WHERE user_id = %s"):
        assert webhooks.rows(rows, [user]) == []
    assert webhooks.rows("SELECT * FROM webhook_deliveries") == []


def _changes(webhooks: Webhooks, user_id: str) -> list[tuple[str, str, bool]]:
    query = "SELECT kind, subject, deleted FROM changes WHERE user_id = %s ORDER BY transaction, id"
    return [
        (row["kind"], row["subject"], row["deleted"]) for row in webhooks.rows(query, [user_id])
    ]


def test_what_has_changed_comes_last_in_the_order_of_changes(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    user = workouts.user_id
    first, second = workouts.start(), workouts.start()
    webhooks.run("UPDATE workouts SET title = 'x' WHERE id = %s", [first])
    assert _changes(webhooks, user) == [
        ("workout", str(second), False),
        ("workout", str(first), False),
    ]
    workouts.set_status(second, "DELETED")
    webhooks.run("UPDATE users SET display_name = 'R' WHERE id = %s", [user])
    thresholds = (
        "INSERT INTO athlete_thresholds (user_id, effective_from, ftp) VALUES (%s, now(), 1)"
    )
    webhooks.run(thresholds, [user])
    assert _changes(webhooks, user) == [
        ("workout", str(first), False),
        ("workout", str(second), True),
        ("profile", user, False),
        ("thresholds", user, False),
    ]


def test_a_fold_notes_the_ride_and_the_records_of_its_sport(
    workouts: Workouts, webhooks: Webhooks
) -> None:
    ride = _completed(workouts)
    user = workouts.user_id
    assert _changes(webhooks, user) == [
        ("workout", str(ride), False),
        ("record", "cycling", False),
    ]


def test_a_share_and_its_end_are_noted(workouts: Workouts, webhooks: Webhooks) -> None:
    ride, user = workouts.start(), workouts.user_id
    [share] = webhooks.rows(
        "INSERT INTO shares (user_id, workout_id, hash, hide_metres, hide_places,"
        " with_description, expires_at) VALUES (%s, %s, %s, 0, false, false, now()) RETURNING id",
        [user, ride, b"x" * 32],
    )
    assert _changes(webhooks, user)[-1] == ("share", str(share["id"]), False)
    webhooks.run("UPDATE shares SET revoked_at = now() WHERE id = %s", [share["id"]])
    assert _changes(webhooks, user)[-1] == ("share", str(share["id"]), True)


def test_with_a_file_of_a_zip_the_zip_changes(workouts: Workouts, webhooks: Webhooks) -> None:
    insert = (
        "INSERT INTO uploads (user_id, parent_id, size, sha256) VALUES (%s, %s, 3, %s) RETURNING id"
    )
    user = workouts.user_id
    [zipped] = webhooks.rows(insert, [user, None, b"x" * 32])
    [member] = webhooks.rows(insert, [user, zipped["id"], b"y" * 32])
    webhooks.run("UPDATE uploads SET asked_at = now() WHERE id = %s", [member["id"]])
    webhooks.run("UPDATE uploads SET status = 'failed' WHERE id = %s", [member["id"]])
    assert _changes(webhooks, user) == [
        ("upload", str(member["id"]), False),
        ("upload", str(zipped["id"]), False),
    ]
    webhooks.run("DELETE FROM uploads WHERE id = %s", [member["id"]])
    assert _changes(webhooks, user)[-1] == ("upload", str(member["id"]), True)
