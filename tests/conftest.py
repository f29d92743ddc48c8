"""Real servers and real processes for the tests: started once per test process, never mocked."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import httpx2
import hypothesis
import pytest

from ops.admin import migrations
from ops.admin.accounts import Account, create_account
from ops.embedded.servers import embedded_servers, servers
from ops.processes import spawn, stop, wait_until
from shared.connections import Database, Redis, open_database, open_redis
from shared.settings import Settings, read_settings
from tests.forking import run_forked

if TYPE_CHECKING:  # it takes a while to import, and few tests need it
    from playwright.sync_api import Browser

# The machine may be busy; and whether the suite passes is a matter of the code, not of the day's
# examples. Other ones are tried by `pytest --hypothesis-profile=exploring`.
# Each HTTP client reads the machine's certificates, for 50 ms of CPU, and no test speaks TLS.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

# The processes that tests start are many: each would compile all modules anew, for a second of CPU,
# where the environment (as of some containers) has Python keep no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Nor does a busy machine fail a test for the time that its examples take to be made.
_PATIENT = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("certain", _PATIENT, derandomize=True)
hypothesis.settings.register_profile("exploring", _PATIENT)
hypothesis.settings.load_profile("certain")

ROOT = Path(__file__).resolve().parents[1]
# Of Chromium: nothing that a test would wait for, or that asks other hosts.
CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@dataclass(frozen=True)
class Rider:
    """A user with a key, and a client that sends it."""

    account: Account
    client: httpx2.Client

    def start(self, **members: object) -> str:
        """A new workout's id."""
        response = self.client.post("/api/workouts", json=members)
        assert response.status_code == 201, response.text
        workout_id: str = response.json()["workout"]["id"]
        return workout_id

    def upload(self, workout_id: str, samples: object, **request: Any) -> httpx2.Response:
        """Send JSON samples in any of the body's forms."""
        path = f"/api/workouts/{workout_id}/telemetry"
        return self.client.post(path, json=samples, **request)

    def complete(self, workout_id: str, wait: int | None = None) -> dict[str, Any]:
        """The finished workout, within ``wait`` seconds or as many as a busy machine needs."""
        path = f"/api/workouts/{workout_id}/complete"
        for _ in range(1 if wait else 5):
            response = self.client.post(path, headers={"Prefer": f"wait={wait or 30}"})
            if response.status_code != 202:
                break
        assert response.status_code == 200, response.text
        workout: dict[str, Any] = response.json()["workout"]
        return workout

    def workout(self, workout_id: str, **query: str) -> dict[str, Any]:
        """The workout as it is now."""
        response = self.client.get(f"/api/workouts/{workout_id}", params=query)
        assert response.status_code == 200, response.text
        workout: dict[str, Any] = response.json()["workout"]
        return workout


def need(program: str, package: str = "") -> None:
    """Skip the test where a program is not installed; on CI, where all is tested, fail it."""
    if not shutil.which(program):
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack(f"{program} is not installed: apt-get install {package or program}")


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, as checkouts usually are; pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="bpt-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Files are not named by their bytes: in packed ones is the time, and names must be lasting."""
    return argname if isinstance(val, bytes) and len(val) > 20 else None


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """For embedded servers of one test."""
    with reachable_folder() as folder:
        yield folder / "data"


@pytest.fixture(scope="session")
def urls() -> Iterator[dict[str, str]]:
    """A migrated PostgreSQL and a Valkey of this test process's own."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        yield urls


@pytest.fixture(scope="session")
def database_url(urls: Mapping[str, str]) -> str:
    return urls["DATABASE_URL"]


@pytest.fixture(scope="session")
def service(urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One API and one worker process; yields the API's address."""
    logs = tmp_path_factory.mktemp("logs")
    urls = {**urls, "WEBHOOK_ALLOW_PRIVATE": "1"}  # receivers of tests are on this machine
    environ = {**os.environ, **urls, "PYTHONPATH": str(ROOT)}
    worker = spawn([sys.executable, "-m", "worker"], log=logs / "worker.log", environ=environ)
    try:
        with serving(logs / "api.log", **urls) as url:
            yield url
    finally:
        stop(worker)


@contextmanager
def serving(log: Path, **variables: str) -> Iterator[str]:
    """An API process with these settings; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        fd = listener.fileno()
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "LISTEN_FD": str(fd), **variables}
        api = spawn([sys.executable, "-m", "api"], log=log, environ=environ, pass_fds=[fd])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            wait_until(lambda: _is_ready(url), api, log)
            yield url
        finally:
            stop(api)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready").is_success
    except httpx2.TransportError:
        return False


@pytest.fixture
def make_rider(service: str, database_url: str) -> Iterator[Callable[[], Rider]]:
    """Makes users that nobody else has."""
    with making_riders(service, database_url) as make:
        yield make


@contextmanager
def making_riders(service: str, database_url: str) -> Iterator[Callable[[], Rider]]:
    """Makes users that nobody else has, whose connections end with the block."""
    clients = []

    def make() -> Rider:
        email = f"{secrets.token_hex(6)}@example.com"
        account = create_account(database_url, email, "test")
        headers = {"X-API-Key": account.api_key}
        clients.append(httpx2.Client(base_url=service, headers=headers, timeout=60))
        return Rider(account, clients[-1])

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def rider(make_rider: Callable[[], Rider]) -> Rider:
    return make_rider()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One real Chromium, Debian's: apt-get install chromium.

    Not for all modules: until it is closed, its event loop lets no other one run in this thread.
    """
    from playwright.sync_api import sync_playwright

    need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM, timeout=120_000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def settings(urls: Mapping[str, str]) -> Settings:
    """Settings for code run inside the test process, on a Redis database of its own."""
    return read_settings({**urls, "REDIS_URL": f"{urls['REDIS_URL']}?db=1"})


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with open_database(settings) as database:
        yield database


@pytest.fixture
def unthrottled(urls: dict[str, str]) -> None:
    forget_attempts(urls)


def forget_attempts(urls: Mapping[str, str]) -> None:
    """Nobody has tried to log in or to register yet."""
    with open_redis(read_settings(urls)) as redis:
        for key in redis.scan_iter("throttle*"):
            redis.delete(key)


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[Redis]:
    """Redis database 1, empty at the start of each test."""
    with open_redis(settings) as client:
        client.flushdb()
        yield client


@pytest.fixture(scope="session")
def rides_dir() -> Path:
    """Real rides, where RIDES_DIR or ../shared/data has them; they are not part of the project."""
    folder = Path(os.environ.get("RIDES_DIR") or ROOT.parent / "shared" / "data")
    if not (folder / "manifest.json").exists():
        pytest.skip(f"no real rides in {folder}: set RIDES_DIR to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def manifest(rides_dir: Path) -> dict[str, Any]:
    """What the rides' devices computed."""
    content: dict[str, Any] = json.loads((rides_dir / "manifest.json").read_text())
    return content


def run_ops(*arguments: str, data_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ops`` as the Makefile does, on embedded servers in ``data_dir``."""
    environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    environ |= {"DATA_DIR": str(data_dir), **variables}
    return run_forked("ops", arguments, environ, timeout=120)


@contextmanager
def kept_servers(data_dir: Path) -> Iterator[None]:
    """The embedded servers of ``run_ops`` run on, from one command to the next."""
    with servers({}, data_dir):
        yield


@pytest.fixture(scope="session")
def store_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a store of originals."""
    from tests.object_store import object_store

    folder = tmp_path_factory.mktemp("store")
    with object_store(folder) as variables, pytest.MonkeyPatch.context() as environment:
        environment.setenv(
            "SSL_CERT_FILE", certifi.where()
        )  # without any, its client does not begin
        yield {**variables, "SSL_CERT_FILE": certifi.where()}
