"""The user as the contract with existing clients has one."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.answers import T0, problem_of
from tests.api.clients.talking import Phone


def test_a_user_is_bare_with_an_ftp_and_wrapped(phone: Phone) -> None:
    own = phone.account.user_id
    for path in ("/api/users/me", f"/api/users/{own}"):
        answer = phone.call("GET", path)
        settings, wrapped = answer.pop("settings"), answer.pop("user")
        assert answer.pop("storage")["originals"] == 0
        assert answer == wrapped
        assert (answer["id"], settings["ftp"]) == (own, None)


@pytest.mark.parametrize("rest", ["", "/stats", "/ftp-history"])
def test_another_user_is_as_absent_as_none(
    phone: Phone, make_phone: Callable[[], Phone], rest: str
) -> None:
    other = make_phone().account.user_id
    answers = [phone.client.get(f"/api/users/{id_}{rest}") for id_ in (other, uuid4(), "x")]
    for each in answers:
        problem_of(each, 404)
    assert len({each.content for each in answers}) == 1
    changed = phone.client.put(f"/api/users/{other}/ftp", json={"ftp": 300})
    problem_of(changed, 404)


def test_totals_are_of_completed_rides(phone: Phone, name: str) -> None:
    assert phone.call("GET", "/api/users/me/stats") == {"totalWorkouts": 0, "totalDuration": 0}
    for second in range(0, 61, 10):
        phone.send(name, {"timestamp": T0 + 1000 * second, "power": 200})
    phone.complete(phone.start(name)["id"])
    phone.start(f"{name}-b")
    stats = phone.call("GET", f"/api/users/{phone.account.user_id}/stats")
    assert stats == {"totalWorkouts": 1, "totalDuration": 60}


def test_an_ftp_is_set_read_and_remembered(phone: Phone) -> None:
    own = phone.account.user_id
    assert phone.call("PUT", "/api/users/me/ftp", json={"ftp": 250}) == {"ftp": 250}
    again = phone.call("PUT", f"/api/users/{own}/ftp", json={"ftp": 255.5, "source": "ramp test"})
    assert again == {"ftp": 255.5}
    assert phone.call("GET", "/api/users/me")["settings"]["ftp"] == 255.5
    newest, oldest = phone.call("GET", f"/api/users/{own}/ftp-history")
    assert newest.keys() == {"id", "userId", "ftp", "source", "createdAt"}
    assert (newest["ftp"], newest["source"], newest["userId"]) == (255.5, "ramp test", own)
    assert (oldest["ftp"], oldest["source"]) == (250, "manual")
    assert oldest["createdAt"] < newest["createdAt"]


def test_an_ftp_given_by_our_own_api_is_in_the_history_once(phone: Phone) -> None:
    thresholds = {"effectiveFrom": "2024-01-01", "ftp": 240, "source": "test"}
    phone.call("PUT", "/api/users/me/thresholds", json=thresholds)
    phone.call("PUT", "/api/users/me/ftp", json={"ftp": 250})
    history = phone.call("GET", "/api/users/me/ftp-history")
    assert [each["ftp"] for each in history] == [250, 240]
    assert history[1]["createdAt"].startswith("2024-01-01T00:00:00")
    own = phone.call("GET", "/api/users/me/thresholds")["thresholds"]
    assert [each["ftp"] for each in own] == [250, 240]


@pytest.mark.parametrize("ftp", [0.5, 5, 5000])
def test_any_number_above_0_is_an_ftp(phone: Phone, ftp: float) -> None:
    assert phone.call("PUT", "/api/users/me/ftp", json={"ftp": ftp}) == {"ftp": ftp}
    assert phone.call("GET", "/api/users/me")["settings"]["ftp"] == ftp


@pytest.mark.parametrize("ftp", [0, -1, "250", None, True, [], 1e7, 1e400])
def test_an_ftp_that_is_none_is_refused(phone: Phone, ftp: Any) -> None:
    body = '{"ftp": 1e400}' if ftp == 1e400 else None
    headers = {"Content-Type": "application/json"}
    sent = {"content": body, "headers": headers} if body else {"json": {"ftp": ftp}}
    problem_of(phone.client.put("/api/users/me/ftp", **sent), 400)
    assert phone.call("GET", "/api/users/me/ftp-history") == []
