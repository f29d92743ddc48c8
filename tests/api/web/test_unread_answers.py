"""Answers that nobody reads: few at a time, small in memory, and not for long."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import numpy as np
import psycopg
import pytest

from api.web.problems import TooManyRequests
from api.web.sending import MOST_READS, AnswerBudget
from shared.errors import ServiceUnavailable
from shared.samples.archive import encode, split
from shared.samples.channels import CHANNELS
from shared.samples.columns import Samples
from tests.api.answers import T0, eventually, problem_of
from tests.api.serving import serving
from tests.api.sharing.test_let_in import accept
from tests.conftest import Rider

SAMPLES = 90_000  # 13 MB of JSON
DAY = 86_400_000
SHARE = 8 * 1024 * 1024


def give_ride(rider: Rider, database_url: str, samples: Samples) -> str:
    """An archived ride of these samples."""
    workout = rider.start()
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE workouts SET status = 'COMPLETED' WHERE id = %s", [workout])
        for part, each in split(samples):
            cursor.executemany(
                "INSERT INTO workout_channels (workout_id, channel, encoding, samples, data, part)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [[workout, *row] for row in encode(each, part)],
            )
    return workout


def day_of(count: int) -> Samples:
    """So many samples at 1 Hz of every channel."""
    values = np.arange(count) % 300 / 4
    return Samples(T0 + 1000 * np.arange(count), {one.name: values for one in CHANNELS})


@pytest.fixture(scope="module")
def impatient(
    urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """An API that waits two seconds for its readers, and holds 32 MB of answers."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    most = str(4 * SHARE)
    with serving(
        urls, log, BODY_TIMEOUT="2", SERVICE_TIMEOUT="2", MAX_HELD_ANSWER_BYTES=most
    ) as client:
        yield client


@pytest.fixture
def ride(rider: Rider, database_url: str) -> str:
    return give_ride(rider, database_url, day_of(SAMPLES))


@contextmanager
def asking(client: httpx2.Client, rider: Rider, path: str) -> Iterator[socket.socket]:
    """A request whose answer is not read; its connection takes little."""
    address = urlsplit(str(client.base_url))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        connection.settimeout(10)
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {rider.account.api_key}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(12).split()[1])


def is_whole(client: httpx2.Client, rider: Rider, path: str) -> bool:
    headers = {"X-API-Key": rider.account.api_key}
    return client.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "read",
    [
        *("telemetry?format=samples", "telemetry?format=columns", "telemetry?format=csv"),
        # Not FIT: the kernel may take all of a file of 3 MB, and then it is read to its end.
        *("export?format=tcx", "export?format=gpx"),
    ],
)
def test_of_answers_that_nobody_reads_few_are_begun_and_none_lasts(
    impatient: httpx2.Client, rider: Rider, ride: str, read: str
) -> None:
    path = f"/api/workouts/{ride}/{read}"
    with ExitStack() as open_ones:
        unread = [open_ones.enter_context(asking(impatient, rider, path)) for _ in range(25)]
        begun = [status_of(each) for each in unread]
        # Those that waited for the first three to be cut off may have been begun then.
        assert begun.count(429) > 25 - 3 * MOST_READS - 1
        assert set(begun) == {200, 429}
        eventually(lambda: is_whole(impatient, rider, path))


def test_refused_reads_say_when_to_come_again(
    impatient: httpx2.Client, rider: Rider, ride: str
) -> None:
    path = f"/api/workouts/{ride}?includeTelemetry=true"
    with ExitStack() as open_ones:
        for _ in range(MOST_READS):
            assert status_of(open_ones.enter_context(asking(impatient, rider, path))) == 200
        others = [open_ones.enter_context(asking(impatient, rider, path)) for _ in range(20)]
        refused = next(each for each in others if status_of(each) == 429)
        with refused.makefile("rb") as rest:
            head = {line.lower() for line in iter(rest.readline, b"\r\n")}
            assert b"retry-after: 5\r\n" in head
            [length] = [int(line.split()[1]) for line in head if line.startswith(b"content-length")]
            problem = json.loads(rest.read(length))
        assert problem["detail"].startswith("3 reads of yours are under way")


@pytest.mark.parametrize("read", ["/telemetry?format=samples", "?includeTelemetry=true"])
def test_who_reads_an_athlete_s_rides_takes_no_share_of_the_athlete_s(
    service: str, rider: Rider, make_rider: Callable[[], Rider], ride: str, read: str
) -> None:
    coach, path = make_rider(), f"/api/workouts/{ride}{read}"
    accept(coach, rider)
    client = httpx2.Client(base_url=service)
    with ExitStack() as open_ones:
        for _ in range(MOST_READS):
            read_by_coach = asking(client, coach, f"{path}&athlete={rider.account.user_id}")
            assert status_of(open_ones.enter_context(read_by_coach)) == 200
        assert status_of(open_ones.enter_context(asking(client, rider, path))) == 200


def test_an_answer_goes_on_for_no_longer_than_its_reader_takes_it(
    impatient: httpx2.Client, rider: Rider, ride: str
) -> None:
    with asking(impatient, rider, f"/api/workouts/{ride}/telemetry") as unread:
        assert status_of(unread) == 200
        eventually(lambda: is_cut_off(unread))


def is_cut_off(connection: socket.socket) -> bool:
    """Looks at the state of the connection without reading from it."""
    local = connection.getsockname()[1]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return not any(int(row[2][-4:], 16) == local and row[3] == "01" for row in rows)


def test_a_head_request_is_answered_without_its_body(
    impatient: httpx2.Client, rider: Rider, ride: str
) -> None:
    headers = {"X-API-Key": rider.account.api_key}
    for path in (f"/api/workouts/{ride}/telemetry", f"/api/workouts/{ride}"):
        params = {} if path.endswith("telemetry") else {"includeTelemetry": "true"}
        answer = impatient.head(path, headers=headers, params=params)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert "content-length" not in answer.headers


def memory_of_the_impatient() -> int:
    """Bytes: of the child of this process that has its settings."""
    children = Path("/proc/self/task").glob("*/children")
    for pid in [pid for each in children for pid in each.read_text().split()]:
        if b"MAX_HELD_ANSWER_BYTES=" in Path(f"/proc/{pid}/environ").read_bytes():
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    raise AssertionError("it does not run")


@pytest.mark.parametrize("read", ["telemetry", "export?format=gpx"])
def test_many_unread_answers_cost_less_than_what_their_reader_may_hold(
    impatient: httpx2.Client, rider: Rider, ride: str, read: str
) -> None:
    """25 answers of 13 MB and more; held whole, they would take 300 MB and more."""
    path = f"/api/workouts/{ride}/{read}"
    assert is_whole(impatient, rider, path)
    before = memory_of_the_impatient()
    with ExitStack() as open_ones:
        unread = [open_ones.enter_context(asking(impatient, rider, path)) for _ in range(25)]
        assert {status_of(each) for each in unread} == {200, 429}
        assert memory_of_the_impatient() - before < 4 * SHARE


def test_long_lists_that_nobody_reads_are_counted_as_well(
    impatient: httpx2.Client, rider: Rider, database_url: str
) -> None:
    """4 MB each, of which buffers between take some."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, description)"
            " SELECT %s, repeat(%s, 10000) FROM generate_series(1, 100)",
            [rider.account.user_id, "🚴"],
        )
    path = "/api/workouts?limit=100"
    assert len(rider.client.get(path).content) > 4_000_000
    with ExitStack() as open_ones:
        unread = [open_ones.enter_context(asking(impatient, rider, path)) for _ in range(25)]
        begun = [status_of(each) for each in unread]
        assert begun.count(429) > 15
        eventually(lambda: is_whole(impatient, rider, path))


def test_of_the_largest_rides_one_is_read_at_a_time(
    impatient: httpx2.Client, make_rider: Callable[[], Rider], database_url: str
) -> None:
    """Decoded, 150,000 samples of one part are 12 MB: more than a user's share."""
    dense = Samples(T0 // DAY * DAY + 50 * np.arange(150_000), day_of(150_000).channels)
    one, other = make_rider(), make_rider()
    path, others = [
        f"/api/workouts/{give_ride(rider, database_url, dense)}/telemetry" for rider in (one, other)
    ]
    with asking(impatient, one, path) as unread:
        assert status_of(unread) == 200
        headers = {"X-API-Key": other.account.api_key}
        refused = impatient.get(others, headers=headers)
        problem_of(refused, 503)
        assert refused.headers["retry-after"] == "5"
    eventually(lambda: is_whole(impatient, other, others))


def test_an_answer_goes_on_for_no_longer_than_its_key(
    impatient: httpx2.Client, rider: Rider, ride: str
) -> None:
    made = rider.client.post("/api/keys", json={"name": "tablet", "scopes": ["read"]}).json()
    headers = {"X-API-Key": made["secret"]}
    own = {"X-API-Key": rider.account.api_key}
    path = f"/api/workouts/{ride}/telemetry"
    with impatient.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        next(pieces)
        impatient.delete(f"/api/keys/{made['key']['id']}", headers=own).raise_for_status()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)


USER, OTHER = uuid4(), uuid4()
Scope = dict[str, Any]


def budget_of(limit: int = 400) -> AnswerBudget:
    return AnswerBudget(limit, patience=0.01)


def test_a_user_has_a_quarter_of_what_is_held() -> None:
    budget, scope = budget_of(), Scope()
    with budget.holding(scope):
        budget.take(scope, USER, 60)
        with pytest.raises(TooManyRequests):
            budget.take(scope, USER, 41)
        budget.take(scope, USER, 40)
        budget.take(scope, OTHER, 100)
    with budget.holding(scope):
        budget.take(scope, USER, 100)


def test_in_all_no_more_is_held_than_the_limit() -> None:
    budget, scope = budget_of(), Scope()
    with budget.holding(scope):
        for _ in range(4):
            budget.take(scope, uuid4(), 100)
        with pytest.raises(ServiceUnavailable):
            budget.take(scope, uuid4(), 1)


def test_of_answers_larger_than_a_share_one_is_sent_at_a_time() -> None:
    budget, scope = budget_of(), Scope()
    with budget.holding(scope):
        budget.take(scope, USER, 1000)
        with pytest.raises(ServiceUnavailable):
            budget.take(scope, OTHER, 101)
        budget.take(scope, OTHER, 100)
    with budget.holding(scope):
        budget.take(scope, OTHER, 1000)
