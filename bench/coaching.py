"""A coach's screen: fifty athletes of 2,000 rides each, by name, with last ride, form and week."""

import secrets
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
import psycopg

from bench.figures import Figure, most
from bench.meters import spent
from bench.system import Options, System
from ops.admin.accounts import create_account
from ops.embedded.postgres import superuser_url

ATHLETES: Final = 50
RIDES: Final = 2000  # of each, one a day
_ROUNDS: Final = 5  # a run
_SCRIPT: Final = Path(__file__).with_suffix(".sql")


def measure(system: System, options: Options) -> Iterator[Figure]:
    """The answer that the screen is made from: the first one, and those after it."""
    coach = create_account(
        system.environ["DATABASE_URL"], f"{secrets.token_hex(6)}@example.com", "bench"
    )
    write_athletes(superuser_url(system.environ["DATABASE_URL"]), coach.user_id, ATHLETES, RIDES)
    headers = {"X-API-Key": coach.api_key}
    with (
        system.serving("api") as api,
        httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        times = [_seconds_of(client) * 1000 for _ in range(1 + options.runs * _ROUNDS)]
    yield Figure("50 athletes of 2,000 rides, first", "ms", times[:1], target=most(1000))
    yield Figure("50 athletes of 2,000 rides", "ms", times[1:], target=most(1000))


def write_athletes(superuser: str, reader_id: str, athletes: int, rides: int) -> None:
    """So many athletes, who have let a reader in, with so many rides each."""
    settings = {"reader": reader_id, "athletes": athletes, "rides": rides}
    with psycopg.connect(superuser, autocommit=True) as connection:
        for name, value in settings.items():
            setting = "SELECT set_config(%s, %s::text, false)"
            connection.execute(setting, [f"bench.{name}", value])
        connection.execute(_SCRIPT.read_bytes())


def _seconds_of(client: httpx2.Client) -> float:
    answer, (seconds,) = spent(partial(client.get, "/api/athletes"), time.perf_counter)
    assert len(answer.json()["athletes"]) == ATHLETES
    return seconds
