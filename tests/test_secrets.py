"""No key, password or query of anybody's is in any output, however wrong things go."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ops.processes import spawn, stop
from shared.credentials import make_key
from shared.errors import InvalidSettings
from shared.settings import read_settings, require_sound
from tests.api.answers import T0, eventually
from tests.api.serving import serving
from tests.conftest import ROOT, Rider
from tests.forking import run_forked

PASSWORD = "hush-hush"
NOWHERE = {
    "DATABASE_URL": f"postgresql://tracker:{PASSWORD}@127.0.0.1:1/tracker",
    "REDIS_URL": f"redis://tracker:{PASSWORD}@127.0.0.1:1/0",
    "SERVICE_TIMEOUT": "1",
}
DEBUG = {"LOG_LEVEL": "debug"}


@pytest.fixture
def guarded_urls(urls: Mapping[str, str]) -> dict[str, str]:
    """The tests' servers, with passwords, of which they take any. No other worker is there."""
    redis_url = urls["REDIS_URL"].replace("://", f"://default:{PASSWORD}@", 1)
    return {
        "DATABASE_URL": urls["DATABASE_URL"].replace("@", f":{PASSWORD}@", 1),
        "REDIS_URL": f"{redis_url}?db=3",
    }


def output_of(*command: str, **variables: str) -> str:
    """All that a command that must fail writes."""
    module, *arguments = command
    done = run_forked(module, arguments, {**os.environ, **DEBUG, **variables}, timeout=60)
    assert done.returncode != 0
    return done.stdout + done.stderr


def send_everywhere(client: httpx2.Client, key: str, workout: str) -> set[int]:
    """Send a key where it belongs, and wherever else it might be put; the statuses."""
    telemetry = f"/api/workouts/{workout}/telemetry"
    headers = {"X-API-Key": key}
    answers = [
        client.get("/api/workouts", headers={"Authorization": f"Bearer {key}"}),
        client.get("/api/workouts", headers={"Authorization": f"Basic {key}"}),
        client.get(f"/api/workouts?apiKey={key}&limit={key}", headers=headers),
        client.post(f"{telemetry}?apiKey={key}", headers=headers, json=[{"timestamp": T0}]),
        client.post(telemetry, headers=headers, json=[{"timestamp": T0, "unknown": key}]),
        client.post(telemetry, headers=headers, json=[{"timestamp": key, "power": key}]),
        client.post(telemetry, headers=headers, content=key),
        client.delete(f"/api/keys/{key}", headers=headers),
        client.get(f"/api/workouts/{key}", headers=headers),
        client.get(f"/{key}", headers=headers),
        client.patch("/api/workouts", headers=headers),
        client.get("/health/ready", headers=headers),
    ]
    url = str(client.base_url).replace("http", "ws")
    for path in (f"{telemetry}?apiKey={key}", f"/{key}?apiKey={key}"):
        with (
            suppress(InvalidStatus),
            connect(url + path, additional_headers=headers, open_timeout=20) as connection,
        ):
            connection.send(f'[{{"timestamp": {T0}, "unknown": "{key}"}}]')
            connection.recv(timeout=20)
    return {answer.status_code for answer in answers}


@contextmanager
def logging_worker(log: Path, variables: Mapping[str, str]) -> Iterator[None]:
    environ = {**os.environ, **variables, **DEBUG, "PYTHONPATH": str(ROOT)}
    worker = spawn([sys.executable, "-m", "worker"], log=log, environ=environ)
    try:
        yield
    finally:
        stop(worker)


def test_no_key_is_logged_wherever_it_is_sent(
    rider: Rider, guarded_urls: Mapping[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    key, stranger = rider.account.api_key, make_key().text
    with logging_worker(log, guarded_urls), serving({**guarded_urls, **DEBUG}, log) as client:
        workout = rider.start()
        assert send_everywhere(client, key, workout) >= {200, 202, 400, 401, 404, 405, 422}
        assert send_everywhere(client, stranger, workout) >= {401, 404}
        client.post(f"/api/workouts/{workout}/complete", headers={"X-API-Key": key})
        eventually(lambda: f"into {workout}: completed" in log.read_text())
    written = log.read_text()
    assert "Started server process" in written
    assert "started worker" in written
    for secret in (key, stranger):
        assert secret.rpartition("_")[2] not in written
    assert "apiKey" not in written
    assert "x-api-key" not in written.lower()
    assert "hush" not in written


def test_no_key_is_logged_and_no_password_while_the_servers_are_away(tmp_path: Path) -> None:
    log = tmp_path / "log"
    key = make_key().text
    with logging_worker(log, NOWHERE), serving({**NOWHERE, **DEBUG}, log) as client:
        assert 503 in send_everywhere(client, key, str(os.urandom(4).hex()))
        eventually(lambda: "cannot go on for now" in log.read_text())
        eventually(lambda: "error connecting in" in log.read_text())
    written = log.read_text()
    assert "could not serve /api/keys/{key}" in written
    assert key.rpartition("_")[2] not in written
    assert "hush" not in written


def test_a_password_that_opens_nothing_is_not_shown(urls: Mapping[str, str]) -> None:
    wrong = urls["REDIS_URL"].replace("://", f"://nobody:{PASSWORD}@", 1)
    written = output_of("worker.probe", **{**urls, "REDIS_URL": wrong})
    assert "Redis does not tell: invalid username-password pair" in written
    assert "hush" not in written


@pytest.mark.parametrize("command", ["migrate", "users", "dead-letters", "backup"])
def test_nor_is_one_of_a_server_that_is_away(command: str, tmp_path: Path) -> None:
    written = output_of("ops", command, **NOWHERE, FILE=str(tmp_path / "backup.tar"))
    assert "failed: " in written
    assert "hush" not in written
    assert "Traceback" not in written


BROKEN: list[Callable[[str, str], str]] = [
    lambda scheme, password: f"{scheme}://tracker:{password}@server:port/0",
    lambda scheme, password: f"{scheme}//tracker:{password}@server/0",
    lambda scheme, password: f"{scheme}:tracker:{password}@server/0",
    lambda scheme, password: f"{scheme}://tracker:{password}/{password}@server/0",
    lambda scheme, password: f"{scheme}://tracker:{password}#{password}@server/0",
    lambda scheme, password: f"{scheme}://tracker:{password}@{password}@server/0",
    lambda scheme, password: f"{scheme}://tracker:{password}?{password}@server/0",
    lambda scheme, password: f"{scheme}://[tracker:{password}@server/0",
    lambda _, password: f"host=server password={password}",
]


def broken_variables(name: str, nth: int) -> dict[str, str]:
    scheme = "postgresql" if name == "DATABASE_URL" else "redis"
    return {**NOWHERE, name: BROKEN[nth](scheme, PASSWORD)}


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("nth", range(len(BROKEN)))
def test_a_url_that_is_none_is_refused_by_its_name_alone(name: str, nth: int) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_settings(broken_variables(name, nth))
    assert f"{name} is not of the form" in str(refused.value)
    assert "hush" not in str(refused.value)
    with pytest.raises(InvalidSettings) as refused:
        require_sound(name, broken_variables(name, nth)[name])
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("command", [["api"], ["worker"], ["ops", "users"]])
def test_a_process_that_is_given_one_says_so_in_one_line(name: str, command: list[str]) -> None:
    written = output_of(*command, **broken_variables(name, 0))
    assert written.count("\n") == 1
    assert f"{name} is not of the form" in written
    assert "hush" not in written
