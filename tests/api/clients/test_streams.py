"""Named streams as the contract with existing clients has them."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.api.answers import eventually, problem_of
from tests.api.clients.conftest import Original
from tests.api.clients.talking import Phone, listening


def refusal(response: httpx2.Response, status: int, text: str = "") -> None:
    """An answer is ``{error}`` with this text."""
    assert text in problem_of(response, status)["error"]


def post(phone: Phone, name: str, **body: Any) -> httpx2.Response:
    return phone.client.post(f"/api/streams/{name}/messages", json=body)


def test_health_says_which_servers_answer(original: Original) -> None:
    response = original.client.get("/health")
    assert response.status_code == 200
    health = response.json()
    assert health.pop("timestamp")
    assert health == {"status": "ok", "redis": "connected", "database": "connected"}


def test_a_stream_is_created_and_again_is_fine(phone: Phone, name: str) -> None:
    first, again = phone.create(name), phone.create(name)
    for created in (first, again):
        assert created.keys() == {"success", "streamName", "messageId", "message"}
        assert (created["success"], created["streamName"]) == (True, name)
    entries = phone.messages(name)
    assert [each["id"] for each in entries] == [first["messageId"], again["messageId"]]
    for each in entries:
        assert each["data"].keys() == {"type", "timestamp"}
        assert each["data"]["type"] == "stream_created"


def test_streams_are_listed_with_their_first_and_last_ids(phone: Phone, name: str) -> None:
    created = phone.create(name)["messageId"]
    last = phone.send(name, "hello")
    phone.send(f"{name}-b", "made by its first message")
    assert phone.streams()[name] == {
        "name": name,
        "length": 2,
        "firstMessageId": created,
        "lastMessageId": last,
    }
    assert phone.streams()[f"{name}-b"]["length"] == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("hello", "hello"),
        (" kept as it is\u0000\n", " kept as it is\u0000\n"),
        ({"power": 250, "cadence": 90.5}, '{"power":250,"cadence":90.5}'),
        ({"a": {"b": [1, None, "ü"]}}, '{"a":{"b":[1,null,"ü"]}}'),
        ('{"power": 250}', '{"power": 250}'),
        (0, "0"),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_a_message_is_listed_as_a_string(phone: Phone, name: str, message: Any, text: str) -> None:
    before = time.time_ns() // 1_000_000
    sent = phone.send(name, message)
    [listed] = phone.messages(name)
    assert listed["id"] == sent
    assert listed["data"].keys() == {"message", "timestamp"}
    assert listed["data"]["message"] == text
    assert isinstance(listed["data"]["timestamp"], str)
    assert before <= int(listed["data"]["timestamp"]) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("author", "shown"), [("Anna", "Anna"), (" A\u0000nna ", "Anna"), ("", None), (None, None)]
)
def test_an_author_is_shown_trimmed_or_left_out(
    phone: Phone, name: str, author: str | None, shown: str | None
) -> None:
    phone.send(name, "hello", author=author)
    [listed] = phone.messages(name)
    assert listed["data"].get("author", None) == shown
    assert ("author" in listed["data"]) == (shown is not None)


@pytest.mark.parametrize(
    "body", [{}, {"message": None}, {"message": ""}, {"message": " \n"}, {"message": "\0"}]
)
def test_a_message_that_says_nothing_is_refused(
    phone: Phone, name: str, body: dict[str, Any]
) -> None:
    refusal(post(phone, name, **body), 400, "message")
    assert name not in phone.streams()


def test_an_author_is_a_short_text(phone: Phone, name: str) -> None:
    refusal(post(phone, name, message="x", author=5), 400, "author")
    refusal(post(phone, name, message="x", author="a" * 65), 400, "64 characters")
    phone.send(name, "x", author="ü" * 64)


def test_a_message_has_at_most_102400_bytes_of_utf_8(phone: Phone, name: str) -> None:
    phone.send(name, "ü" * 51_200)
    refusal(post(phone, name, message="ü" * 51_200 + "x"), 400, "100KB")
    phone.send(name, {"a": "x" * (102_400 - len('{"a":""}'))})
    refusal(post(phone, name, message={"a": "x" * (102_401 - len('{"a":""}'))}), 400, "100KB")


@pytest.mark.parametrize("wrong", ["", " ", "a b", "a.b", "ä", "a" * 65, None, 5])
def test_a_name_that_is_none_is_refused(phone: Phone, wrong: Any) -> None:
    response = phone.client.post("/api/streams/create", json={"streamName": wrong})
    refusal(response, 400, "alphanumeric")
    refusal(response, 400, "64 characters")


@pytest.mark.parametrize("wrong", ["a.b", "a" * 65, "%20"])
def test_a_bad_name_in_a_path_is_400_and_404_to_delete(phone: Phone, wrong: str) -> None:
    refusal(post(phone, wrong, message="x"), 400, "alphanumeric")
    refusal(phone.client.get(f"/api/streams/{wrong}/messages"), 400, "alphanumeric")
    refusal(phone.client.get(f"/api/streams/{wrong}/listen"), 400, "alphanumeric")
    refusal(phone.client.delete(f"/api/streams/{wrong}"), 404)


def test_a_name_is_trimmed_and_loses_its_nuls(phone: Phone, name: str) -> None:
    body = {"streamName": f" {name[:3]}\u0000{name[3:]}\n"}
    assert phone.call("POST", "/api/streams/create", json=body)["streamName"] == name


def test_messages_are_listed_by_ids_as_redis_has_them(phone: Phone, name: str) -> None:
    ids = [phone.send(name, f"m{number}") for number in range(5)]
    assert phone.texts(name) == ["m0", "m1", "m2", "m3", "m4"]
    assert phone.texts(name, start=ids[1], end=ids[3]) == ["m1", "m2", "m3"]
    assert phone.texts(name, start=f"({ids[1]}", end=f"({ids[3]}") == ["m2"]
    assert phone.texts(name, start="-", end="+", count=2) == ["m0", "m1"]
    assert phone.texts(name, end=ids[0].partition("-")[0])[0] == "m0"  # of a bare ms: all of it
    assert phone.texts(name, start=str(int(ids[4].partition("-")[0]) + 1)) == []
    assert phone.texts(name, start="+", end="-") == []
    as_typed = phone.call("GET", f"/api/streams/{name}/messages?start=-&end=+")
    assert len(as_typed["messages"]) == 5


def test_an_id_that_is_none_is_refused(phone: Phone, name: str) -> None:
    phone.send(name, "x")
    for wrong in ("x", "1-", "--", "(-", "1-2-3", "18446744073709551616"):
        path = f"/api/streams/{name}/messages"
        refusal(phone.client.get(path, params={"start": wrong}), 400, "start")
    assert phone.texts(name, start="(18446744073709551615-18446744073709551615") == []
    assert phone.texts(name, end="(0-0") == []


def test_a_count_that_is_0_or_junk_is_100_and_none_is_over_1000(phone: Phone, name: str) -> None:
    for number in range(1001):
        phone.send(name, number)
    for count in ("0", "junk", "-3", ""):
        assert len(phone.messages(name, count=count)) == 100
    assert len(phone.messages(name, count="7")) == 7
    assert len(phone.messages(name, count="5000")) == 1000


def test_an_unknown_stream_is_an_empty_list(phone: Phone, name: str) -> None:
    assert phone.messages(name) == []


def test_a_stream_is_deleted_once(phone: Phone, name: str) -> None:
    phone.send(name, "x")
    deleted = phone.call("DELETE", f"/api/streams/{name}")
    assert deleted.keys() == {"success", "message"}
    assert name not in phone.streams()
    refusal(phone.client.delete(f"/api/streams/{name}"), 404)


@pytest.mark.parametrize("name", ["create", "listenAll"])
def test_a_stream_may_have_the_name_of_a_route(phone: Phone, name: str) -> None:
    phone.create(name)
    assert phone.call("DELETE", f"/api/streams/{name}")["success"]
    assert phone.streams() == {}


def test_streams_that_have_been_silent_for_long_are_cleaned_up(phone: Phone, name: str) -> None:
    phone.send(name, "x")
    cleaned = phone.call("DELETE", "/api/streams/cleanup")
    assert cleaned.keys() == {"success", "deletedCount", "message"}
    assert (cleaned["success"], cleaned["deletedCount"]) == (True, 0)
    old, now = phone.streams()[name], time.time_ns() // 1_000_000
    eventually(lambda: time.time_ns() // 1_000_000 > now + 1)
    cleaned = phone.call("DELETE", "/api/streams/cleanup", params={"retention": "1"})
    assert cleaned["deletedCount"] == 1
    assert old["name"] not in phone.streams()


def test_a_listener_hears_what_comes_from_now_on(phone: Phone, name: str) -> None:
    phone.send(name, "before")
    with listening(phone.client, f"/api/streams/{name}/listen") as listener:
        headers = listener.response.headers
        assert headers["content-type"].partition(";")[0] == "text/event-stream"
        assert headers.get_list("cache-control") == ["no-cache"]
        assert headers.get_list("connection") == ["keep-alive"]
        assert listener.next() == {"type": "connected", "streamName": name}
        phone.send(f"{name}-other", "not to hear")
        sent = phone.send(name, {"power": 250}, author="Anna")
        heard = listener.next()
        assert heard["data"].pop("timestamp").isdigit()
        data = {"message": '{"power":250}', "author": "Anna"}
        assert heard == {"type": "message", "id": sent, "data": data}
        phone.call("DELETE", f"/api/streams/{name}")
        assert listener.next() == {"type": "stream_deleted", "streamName": name}
        assert listener.has_ended()


def test_a_listener_to_an_unknown_stream_is_told_so(phone: Phone, name: str) -> None:
    with listening(phone.client, f"/api/streams/{name}/listen") as listener:
        assert listener.next() == {"type": "connected", "streamName": name}
        assert listener.next() == {"type": "stream_deleted", "streamName": name}
        assert listener.has_ended()


def test_a_listener_to_all_hears_every_stream_of_the_user_and_no_end(
    phone: Phone, make_phone: Callable[[], Phone], name: str
) -> None:
    with listening(phone.client, "/api/streams/listenAll") as listener:
        assert listener.next() == {"type": "connected", "streamName": "all"}
        make_phone().send(name, "of another user")
        phone.create(name)
        first = phone.send(name, "one")
        phone.call("DELETE", f"/api/streams/{name}")
        second = phone.send(f"{name}-b", "two")
        heard = [listener.next(), listener.next()]
        assert [(each["stream"], each["id"], each["data"]["message"]) for each in heard] == [
            (name, first, "one"),
            (f"{name}-b", second, "two"),
        ]


def test_the_key_of_an_event_stream_may_come_in_the_query(
    original: Original, phone: Phone, name: str
) -> None:
    key = phone.account.api_key
    phone.send(name, "x")
    for path in ("/api/streams/listenAll", f"/api/streams/{name}/listen"):
        with listening(original.client, path, apiKey=key) as listener:
            assert listener.next()["type"] == "connected"
        assert original.client.get(path, params={"apiKey": "wrong"}).status_code == 401


def test_users_have_streams_of_the_same_name(
    phone: Phone, make_phone: Callable[[], Phone], name: str
) -> None:
    other = make_phone()
    phone.send(name, "mine")
    other.send(name, "theirs")
    assert (phone.texts(name), other.texts(name)) == (["mine"], ["theirs"])
    other.call("DELETE", f"/api/streams/{name}")
    assert phone.texts(name) == ["mine"]
    assert other.texts(name) == []


def test_json_that_is_none_or_too_large_is_refused(phone: Phone, name: str) -> None:
    path = f"/api/streams/{name}/messages"
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"", b"[]", b'"x"', b'{"message": NaN}', b'{"message": "\xff"}'):
        refusal(phone.client.post(path, content=body, headers=headers), 400)
    large = json.dumps({"message": "x", "more": "y" * 204_800}).encode()
    refusal(phone.client.post(path, content=large, headers=headers), 413)
    assert name not in phone.streams()


@pytest.mark.parametrize("how", [{"data": {"message": "x"}}, {"files": {"message": b"x"}}])
def test_a_form_is_refused(phone: Phone, name: str, how: dict[str, Any]) -> None:
    paths = ("/api/streams/create", f"/api/streams/{name}/messages", "/api/workouts")
    for path in paths:
        refusal(phone.client.post(path, **how), 400, "form")
    workout = phone.start(name)["id"]
    refusal(phone.client.post(f"/api/workouts/{workout}/complete", **how), 400, "form")
    refusal(phone.client.patch(f"/api/workouts/{workout}", **how), 400, "form")
    refusal(phone.client.put("/api/users/me/ftp", **how), 400, "form")
