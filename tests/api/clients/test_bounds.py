"""What streams may cost: so many, so long, for so long; and what frees them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from shared.connections import Redis, open_redis
from shared.redis_keys import messages_channel, notes_key, stream_key, streams_key
from shared.settings import read_settings
from tests.api.answers import T0, eventually, problem_of
from tests.api.clients.talking import Phone, listening
from tests.api.serving import serving
from tests.api.sessions import log_in, register
from tests.conftest import Rider


@pytest.fixture
def redis(urls: Mapping[str, str]) -> Iterator[Redis]:
    """The Redis of the service."""
    with open_redis(read_settings(dict(urls))) as client:
        yield client


@pytest.fixture
def served(
    request: pytest.FixtureRequest, urls: Mapping[str, str], rider: Rider, tmp_path: Path
) -> Iterator[Phone]:
    """A phone of a service with bounds of its own."""
    headers = {"X-API-Key": rider.account.api_key}
    with serving(urls, tmp_path / "api.log", **request.param) as client:
        client.headers.update(headers)
        yield Phone(rider.account, client)


def bounded(**settings: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("served", [settings], indirect=True, ids=str)


@bounded(MAX_STREAM_MESSAGES="3")
def test_a_stream_keeps_its_newest_messages(served: Phone, name: str) -> None:
    workout = served.start(name)["id"]
    for second in range(5):
        served.send(name, {"timestamp": T0 + 1000 * second, "power": 200})
    assert len(served.texts(name)) == served.streams()[name]["length"] == 3
    # The ride has them all.
    assert served.complete(workout)["workout"]["summary"]["sampleCount"] == 5


@bounded(MAX_STREAM_BYTES="1000")
def test_the_bytes_of_a_user_s_streams_are_bounded_together(
    served: Phone, redis: Redis, name: str
) -> None:
    def held() -> int:
        return int(redis.hget(notes_key(UUID(served.account.user_id)), "bytes") or 0)

    for number in range(10):
        served.send(name, f"{number}" * 200)
        assert held() <= 1000
    assert [text[0] for text in served.texts(name)] == ["7", "8", "9"]
    served.send(f"{name}-b", "x" * 2000)  # the newest message of a stream always stays
    assert len(served.texts(f"{name}-b")) == 1
    served.call("DELETE", f"/api/streams/{name}-b")
    served.call("DELETE", f"/api/streams/{name}")
    assert held() == 0


@bounded(MAX_STREAMS="2")
def test_a_user_has_so_many_streams(served: Phone, name: str) -> None:
    served.send(f"{name}-1", "x")
    served.send(f"{name}-2", "x")
    for path, body in (
        ("/api/streams/create", {"streamName": f"{name}-3"}),
        (f"/api/streams/{name}-3/messages", {"message": "x"}),
    ):
        problem_of(served.client.post(path, json=body), 409)
    served.send(f"{name}-1", "those that are there go on")
    served.call("DELETE", f"/api/streams/{name}-2")
    served.create(f"{name}-3")


@bounded(STREAM_RETENTION="0.2", MAX_STREAMS="1")
def test_a_silent_stream_goes_by_itself(served: Phone, redis: Redis, name: str) -> None:
    served.send(name, "x")
    key = stream_key(UUID(served.account.user_id), name)
    eventually(lambda: not redis.exists(key))
    assert served.streams() == {}
    served.send(f"{name}-b", "there is room for another one")


@bounded(STREAM_RETENTION="3")
def test_who_listens_to_a_stream_that_ages_out_is_told(served: Phone, name: str) -> None:
    served.send(name, "x")
    with listening(served.client, f"/api/streams/{name}/listen") as listener:
        assert listener.next()["type"] == "connected"
        assert listener.next() == {"type": "stream_deleted", "streamName": name}
        assert listener.has_ended()


@bounded(STREAM_RETENTION="0.2")
def test_a_ride_whose_stream_has_aged_out_counts_what_it_holds(
    served: Phone, redis: Redis, name: str
) -> None:
    workout = served.start(name)["id"]
    served.send(name, {"timestamp": T0, "power": 200})
    user_id = UUID(served.account.user_id)
    eventually(lambda: not redis.exists(stream_key(user_id, name), notes_key(user_id)))
    assert served.complete(workout)["archivedMessages"] == 1


@bounded(MAX_VIEWERS="100")
def test_who_listens_is_to_come_again_when_messages_may_have_been_missed(
    served: Phone, redis: Redis
) -> None:
    with listening(served.client, "/api/streams/listenAll") as listener:
        assert listener.next()["type"] == "connected"
        redis.client_kill_filter(_type="pubsub")
        assert listener.has_ended()


@bounded(MAX_VIEWERS_PER_KEY="2")
def test_so_many_may_listen_at_a_time(served: Phone) -> None:
    path = "/api/streams/listenAll"
    with listening(served.client, path) as first, listening(served.client, path) as second:
        assert first.next() == second.next()
        problem_of(served.client.get(path), 429)


def test_a_deleted_account_leaves_no_message(api: str, redis: Redis, name: str) -> None:
    session = log_in(api, register(api))
    user_id = UUID(session.user["id"])
    sent = session.call("POST", f"/api/streams/{name}/messages", message="personal")
    assert sent.status_code == 200
    keys = (stream_key(user_id, name), streams_key(user_id), notes_key(user_id))
    assert redis.exists(*keys) == 3
    with redis.pubsub() as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(messages_channel(user_id))
        assert session.call("DELETE", "/api/users/me").status_code == 202
        said = (heard.get_message(timeout=10) or {} for _ in range(2))
        assert [each["type"] for each in said] == ["subscribe", "message"]
    assert redis.exists(*keys) == 0


def test_streams_end_at_once_when_the_process_stops(
    urls: Mapping[str, str], rider: Rider, tmp_path: Path
) -> None:
    """Else it would wait for them, for as long as it may."""
    with ExitStack() as client_stack, ExitStack() as stack:
        api = serving(urls, tmp_path / "api.log", SHUTDOWN_GRACE="600")
        client = stack.enter_context(api)
        client.headers["X-API-Key"] = rider.account.api_key
        # Of a client of its own, which outlives the process.
        own = httpx2.Client(base_url=client.base_url, headers=client.headers)
        client_stack.enter_context(own)
        listener = client_stack.enter_context(listening(own, "/api/streams/listenAll"))
        assert listener.next()["type"] == "connected"
        stack.close()
        assert listener.has_ended()


def test_a_revoked_key_ends_its_streams(service: str, rider: Rider) -> None:
    fresh = rider.client.post("/api/keys", json={"name": "viewer", "scopes": ["read"]}).json()
    headers = {"X-API-Key": fresh["secret"]}
    with (
        httpx2.Client(base_url=service, headers=headers) as client,
        listening(client, "/api/streams/listenAll") as listener,
    ):
        assert listener.next()["type"] == "connected"
        assert rider.client.delete(f"/api/keys/{fresh['key']['id']}").is_success
        assert listener.has_ended()
