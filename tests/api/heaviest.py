"""The heaviest request of every operation: by the rider of the largest ride, and of 4,000 more."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from secrets import token_hex
from threading import Thread
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2
import msgspec
import numpy as np
import psycopg
import uvicorn
from psycopg.types.json import Jsonb

from api.__main__ import configure
from api.app import create_app
from ops.admin.accounts import create_account
from shared.connections import open_redis
from shared.figures import MOST_LISTED
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import stream_codec
from shared.samples.archive import encode, split
from shared.samples.channels import CHANNELS
from shared.samples.columns import Samples
from shared.settings import Settings
from tests.conftest import Rider

T0: Final = 1_700_006_400_000  # a midnight in UTC
SAMPLES: Final = 400_000  # a day at 4 Hz, and more
RIDES: Final = 4000  # one a day, of the longest summary there is; a quarter has a power curve
WAITING: Final = 2000  # batches of one sample
RANGES: Final = 100
DELIVERIES: Final = 1000
ATHLETES: Final = 200
_MOST_RETRIES: Final = 5
EXPORT: Final = "/api/users/me/export"
ENOUGH_OF_EXPORT: Final = 2_500_000  # bytes
FILE_FORMATS: Final = ("fit", "tcx", "gpx", "csv", "json")
PASSWORD: Final = "correct horse battery"


@dataclass(frozen=True)
class Heavy:
    """A request: of which operation, and what it is sent with."""

    method: str
    path: str
    params: dict[str, Any] | None = None
    json: Any = None

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in (self.params or {}).items())
        return f"{self.method} {self.path}{'?' if query else ''}{query}"


# {id}: the largest ride, but for what would change it. {spare}: another one of the rider's.
REQUESTS: Final = (
    Heavy("GET", "/health"),
    Heavy("GET", "/health/live"),
    Heavy("GET", "/health/ready"),
    Heavy("GET", "/api/workouts/{id}/telemetry"),
    Heavy("GET", "/api/workouts/{id}/telemetry", {"format": "columns"}),
    Heavy("GET", "/api/workouts/{id}/telemetry", {"format": "csv"}),
    Heavy("GET", "/api/workouts/{id}/telemetry", {"resolution": 1}),
    Heavy("GET", "/api/workouts/{id}/telemetry", {"resolution": 86_400}),
    Heavy("GET", "/api/workouts/{id}", {"includeTelemetry": "true"}),
    *(Heavy("GET", "/api/workouts/{id}/export", {"format": each}) for each in FILE_FORMATS),
    Heavy("GET", "/api/workouts/{id}/receipt", {"gap": 1}),
    Heavy("GET", "/api/workouts/{id}/chart", {"points": 5000}),
    Heavy("GET", "/api/workouts/{id}/figures"),
    Heavy("GET", "/api/workouts/{id}/live", {"from": 0}),
    Heavy("POST", "/api/workouts/{id}/share", json={"hideMetres": 500}),
    Heavy("GET", "/api/shared/{token}"),
    Heavy("GET", "/api/shared/{token}/telemetry"),
    Heavy("GET", "/api/shared/{token}/telemetry", {"resolution": 1, "format": "columns"}),
    Heavy("GET", "/api/shared/{token}/chart", {"points": 5000}),
    Heavy("GET", "/api/shared/{token}/power-curve"),
    Heavy("GET", "/api/shared/{token}/live", {"from": 0}),
    Heavy("GET", "/api/shared/{token}/card.svg"),
    Heavy("POST", "/api/shares", json={"email": "coach@example.com"}),
    Heavy("GET", "/api/shares"),
    Heavy("GET", "/api/athletes"),
    Heavy("POST", "/api/athletes/{athlete}/accept"),
    Heavy("DELETE", "/api/athletes/{athlete}"),
    Heavy("PUT", "/api/users/me/places", json={"places": [{"name": "x", "lat": 1, "lng": 1}] * 20}),
    Heavy("GET", "/api/users/me/places"),
    Heavy("DELETE", "/api/shares/{share}"),
    Heavy("GET", "/api/workouts/{id}/power-curve"),
    Heavy("GET", "/api/workouts", {"limit": 100, "sort": "duration", "q": "ride"}),
    Heavy("GET", "/api/workouts", {"limit": 100, "page": 40}),
    Heavy("GET", "/api/records"),
    Heavy("GET", "/api/power-curve"),
    Heavy("GET", "/api/critical-power"),
    Heavy("GET", "/api/users/me/ftp-suggestion", {"from": "2000-01-01"}),
    Heavy("GET", "/api/stats", {"period": "day"}),
    Heavy("GET", "/api/fitness", {"from": "2015-01-01", "to": "2025-01-07"}),
    Heavy("GET", "/api/fitness", {"to": "2100-01-01"}),
    Heavy("GET", "/api/users/me"),
    Heavy("GET", "/api/users/me/thresholds"),
    Heavy("GET", "/api/users/me/recompute"),
    Heavy("GET", "/api/keys"),
    Heavy("POST", "/api/webhooks", json={"url": "https://x.example/", "events": ["record.set"]}),
    Heavy("GET", "/api/webhooks"),
    Heavy("GET", "/api/webhooks/{webhook}"),
    Heavy("PATCH", "/api/webhooks/{webhook}", json={"enabled": True}),
    Heavy("POST", "/api/webhooks/{webhook}/rotate", json={}),
    Heavy("GET", "/api/webhooks/{webhook}/deliveries", {"limit": 100}),
    Heavy("POST", "/api/webhooks/{webhook}/deliveries/{delivery}/redeliver"),
    Heavy("DELETE", "/api/webhooks/{webhook}"),
    Heavy("GET", "/api/changes", {"limit": 100}),
    Heavy("GET", "/api/sign-in"),
    Heavy("GET", "/api/sign-in/{provider}", {"redirect": "http://127.0.0.1/"}),
    Heavy("GET", "/api/sign-in/{provider}/callback", {"state": "x", "code": "x"}),
    Heavy("POST", "/api/workouts", json={"title": "R" * 200, "description": "d" * 10_000}),
    Heavy("PUT", "/api/workouts/{new}", json={"title": "R" * 200, "description": "d" * 10_000}),
    Heavy("PATCH", "/api/workouts/{id}", json={"description": "d" * 10_000}),
    Heavy("POST", "/api/workouts/{id}/exclude", json={"from": T0, "to": T0 + 1}),
    Heavy("POST", "/api/workouts/{id}/include", json={"from": T0, "to": T0 + 1}),
    Heavy("POST", "/api/workouts/{id}/telemetry", json={"samples": "largest"}),
    Heavy("DELETE", "/api/workouts/{id}/telemetry", {"from": T0 + 79_000_000}),
    Heavy("POST", "/api/workouts/{id}/laps", json={"laps": [{"end": T0 + n} for n in range(100)]}),
    Heavy("POST", "/api/workouts/{id}/take-ftp"),
    Heavy("POST", "/api/uploads", {"filename": "ride.gpx"}, json="largest"),
    Heavy("GET", "/api/uploads", {"limit": 100}),
    Heavy("GET", "/api/uploads/{upload}"),
    Heavy("GET", "/api/uploads/{upload}/file"),
    Heavy("POST", "/api/workouts/{id}/pause"),
    Heavy("POST", "/api/workouts/{id}/resume"),
    Heavy("POST", "/api/workouts/{id}/complete", {"wait": 0}),
    Heavy("POST", "/api/workouts/{id}/crop", json={"from": T0}),
    Heavy("DELETE", "/api/workouts/{id}/crop"),
    Heavy("DELETE", "/api/workouts/{spare}"),
    Heavy("POST", "/api/keys", json={"name": "head unit", "scopes": ["upload"]}),
    Heavy("POST", "/api/keys/{key}/rotate", json={}),
    Heavy("DELETE", "/api/keys/{key}"),
    Heavy(
        "POST",
        "/api/apps",
        json={"name": "a" * 100, "redirectUris": [f"https://a.example/{'x' * 400}"] * 10},
    ),
    Heavy("GET", "/api/apps"),
    Heavy(
        "PATCH",
        "/api/apps/{app}",
        json={"redirectUris": [f"https://a.example/{'x' * 400}"] * 10},
    ),
    Heavy("POST", "/api/apps/{app}/rotate"),
    Heavy("DELETE", "/api/apps/{app}"),
    Heavy("GET", "/api/connections"),
    Heavy("DELETE", "/api/connections/{app}"),
    Heavy("PATCH", "/api/users/me", json={"timeZone": "Europe/Zurich"}),
    Heavy("PUT", "/api/users/me/thresholds", json={"effectiveFrom": "2000-01-01", "ftp": 250}),
    Heavy("POST", "/api/users", json={"email": "{email}", "password": PASSWORD}),
    Heavy("POST", "/api/sessions", json={"email": "{email}", "password": PASSWORD}),
    Heavy("PUT", "/api/users/me/password", json={"password": PASSWORD}),
    Heavy("DELETE", "/api/sessions/current"),
    Heavy("GET", EXPORT),
    Heavy("DELETE", "/api/users/me"),
)


def day() -> Samples:
    """The largest ride, of every channel; with a gap of 12 s after every fifth of a minute."""
    quarters = np.arange(SAMPLES)
    values = quarters % 1200 / 4
    times = T0 + 200 * quarters + quarters // 60 * 1
    return Samples(times, {one.name: values % one.maximum for one in CHANNELS})


def summary() -> dict[str, Any]:
    gaps = [{"from": T0 + 24_000 * n, "to": T0 + 24_000 * n + 12_000} for n in range(MOST_LISTED)]
    spikes = [{"timestamp": T0 + 1000 * n, "power": 2500.5} for n in range(MOST_LISTED)]
    figures = {"trainingStressScore": 100.5, "duration": 86_400, "recordedTime": 86_400}
    return {**figures, "gaps": gaps, "spikes": spikes, "precise": {"totalEnergy": 1000.5}}


def give_rides(settings: Settings, user_id: UUID) -> dict[str, str]:
    """The largest ride, in PostgreSQL and in Redis, and as many others as there are days."""
    with psycopg.connect(settings.database_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO workouts (user_id, status, title, start_time, summary)"
            " SELECT %s, 'COMPLETED', 'A ride',"
            " timestamptz '2012-01-01T12:00Z' + n * interval '1 day',"
            " %s FROM generate_series(1, %s) AS n RETURNING id",
            [user_id, Jsonb(summary()), RIDES],
        )
        ids = [row[0] for row in cursor.fetchall()]
        durations = list(range(1, 221))
        cursor.execute(
            "INSERT INTO workout_curves (workout_id, user_id, ridden_at, durations, watts)"
            " SELECT id, user_id, start_time, %s, %s FROM workouts WHERE user_id = %s LIMIT 1000",
            [durations, [400.5 - each for each in durations], user_id],
        )
        largest = ids[-1]  # the newest, and the first in an export
        cursor.execute(
            "UPDATE workouts SET excluded_ranges = (SELECT range_agg(int8range("
            "%s + 2000 * n, %s + 2000 * n + 1000)) FROM generate_series(1, %s) AS n) WHERE id = %s",
            [T0, T0, RANGES - 1, largest],
        )
        for part, samples in split(day()):
            cursor.executemany(
                "INSERT INTO workout_channels (workout_id, channel, encoding, samples, data, part)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [[largest, *row] for row in encode(samples, part)],
            )
    with open_redis(settings) as redis, redis.pipeline(transaction=False) as pipeline:
        waiting = day().select(slice(0, 20 * WAITING, 20))
        for at in range(WAITING):
            batch: Any = {BATCH_FIELD: stream_codec.encode(waiting.select(slice(at, at + 1)))}
            pipeline.xadd(samples_key(largest), batch)
        pipeline.execute()
    return {"{id}": str(largest), "{spare}": str(ids[0]), **give_deliveries(settings, user_id)}


def give_deliveries(settings: Settings, user_id: UUID) -> dict[str, str]:
    """A webhook that was told of many rides, each with the longest summary there is."""
    with psycopg.connect(settings.database_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhooks (user_id, url, events, secret)"
            " VALUES (%s, 'https://x.example/', '{upload.failed}', 'whsec_') RETURNING id",
            [user_id],
        )
        [webhook] = cursor.fetchone() or []
        cursor.execute(
            "INSERT INTO webhook_deliveries"
            " (webhook_id, message_id, event, subject_id, payload, status)"
            " SELECT %s, 'msg_' || n, 'workout.completed', gen_random_uuid(), %s, 'failed'"
            " FROM generate_series(1, %s) AS n RETURNING id",
            [webhook, Jsonb({"type": "workout.completed", "data": summary()}), DELIVERIES],
        )
        [delivery] = cursor.fetchone() or []
    return {"{webhook}": str(webhook), "{delivery}": str(delivery)}


def give_athletes(settings: Settings, reader_id: UUID) -> str:
    """As many athletes as somebody may read, each with rides; the id of one."""
    with psycopg.connect(settings.database_url) as connection:
        found = connection.execute(
            "WITH made AS (INSERT INTO users (email, display_name)"
            " SELECT gen_random_uuid() || '@example.com', repeat('x', 100)"
            " FROM generate_series(1, %s) RETURNING id),"
            " shares AS (INSERT INTO athlete_shares (user_id, reader_id, email, accepted_at)"
            " SELECT id, %s, '', now() FROM made),"
            " ridden AS (INSERT INTO workouts (user_id, status, start_time, summary)"
            " SELECT id, 'COMPLETED', now() - n * interval '1 day', %s"
            " FROM made, generate_series(0, 9) AS n)"
            " SELECT id FROM made",
            [ATHLETES, reader_id, Jsonb(summary())],
        )
        return str(found.fetchall()[-1][0])


class HeaviestRider:
    """Sends the requests. ``places``: what stands for the names in their paths."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.email = f"{token_hex(6)}@example.com"
        account = create_account(settings.database_url, self.email, "test")
        headers = {"X-API-Key": account.api_key}
        self._rider = Rider(account, httpx2.Client(base_url=url, headers=headers, timeout=120))
        self._places = give_rides(settings, UUID(account.user_id))
        self._places |= {"{provider}": "none", "{email}": f"{token_hex(6)}@example.com"}
        self._places["{new}"] = str(uuid4())
        self._places["{athlete}"] = give_athletes(settings, UUID(account.user_id))

    def close(self) -> None:
        """Close its connection."""
        self._rider.client.close()

    def send(self, heavy: Heavy) -> httpx2.Response:
        """The whole answer; of an export, as much as has the largest ride in it."""
        if heavy.path == EXPORT:
            return self._begin_export()
        request = self._request(heavy)
        answer = self._rider.client.send(request)
        # As a client does: the changes before have the workers recompute large rides, and a slow
        # machine's PostgreSQL may not answer in time.
        for _ in range(_MOST_RETRIES):
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            answer = self._rider.client.send(request)
        self._note_made(heavy, answer)
        return answer

    def _request(self, heavy: Heavy) -> httpx2.Request:
        path, body = heavy.path, msgspec.json.encode(heavy.json).decode()
        for name, value in self._places.items():
            path, body = path.replace(name, value), body.replace(name, value)
        if heavy.path.endswith("telemetry") and heavy.method == "POST":
            body = _largest_batch()
        if heavy.path == "/api/uploads" and heavy.method == "POST":
            body = "<gpx>" * 10_000_000
        content = None if heavy.json is None else body
        headers = {"Content-Type": "application/json"} if content else {}
        return self._rider.client.build_request(
            heavy.method, path, params=heavy.params, headers=headers, content=content
        )

    def _note_made(self, heavy: Heavy, answer: httpx2.Response) -> None:
        """What later requests ask for."""
        if (heavy.method, heavy.path) == ("POST", "/api/keys"):
            self._places["{key}"] = answer.json()["key"]["id"]
        if (heavy.method, heavy.path) == ("POST", "/api/apps"):
            self._places["{app}"] = answer.json()["app"]["id"]
        if heavy.path.endswith("/share"):
            made = answer.json()
            self._places |= {"{token}": made["token"], "{share}": made["share"]["id"]}
        if (heavy.method, heavy.path) == ("POST", "/api/uploads"):
            self._places["{upload}"] = answer.json()["upload"]["id"]

    def _begin_export(self) -> httpx2.Response:
        with self._rider.client.stream("GET", EXPORT) as answer:
            taken = 0
            for piece in answer.iter_raw():
                taken += len(piece)
                if taken > ENOUGH_OF_EXPORT:
                    return answer
        raise AssertionError("the export ends early")


def _largest_batch() -> str:
    samples = [{"timestamp": T0 + n, "power": 200.5, "lat": 47.1234567} for n in range(65_536)]
    return msgspec.json.encode(samples).decode()


@contextmanager
def serving_in_a_thread(settings: Settings, begin: Callable[[], None]) -> Iterator[str]:
    """An API whose event loop runs in a thread of this process, where ``begin`` is called first.

    Not uvloop's: its steps cannot be told apart.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(configure(create_app(settings), settings))

        async def serve() -> None:
            begin()
            await server.serve([listener])

        thread = Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
