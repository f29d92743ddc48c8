"""An API that knows three providers: a real one, a hostile one, and one that is down."""

import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from jwcrypto import jwk

from ops.processes import Process, spawn, stop, wait_until
from tests.conftest import ROOT
from tests.sign_in import hostile_provider as hostile_providers
from tests.sign_in.browser import PASSWORD, Browser
from tests.sign_in.hostile_provider import HostileProvider

CLIENT, SECRET = "bike-power-tracker", secrets.token_urlsafe(24)


@dataclass
class Django:
    """A process of the real provider. While none runs, who connects has to wait for the next."""

    listener: socket.socket
    folder: Path
    redirect_uris: set[str] = field(default_factory=set)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def start(self) -> None:
        """With a key that it has never had."""
        key = jwk.JWK.generate(kty="RSA", size=2048)
        (self.folder / "key.pem").write_bytes(key.export_to_pem(private_key=True, password=None))
        log, fd = self.folder / "provider.log", self.listener.fileno()
        module = "tests.sign_in.django_provider"
        program = [sys.executable, "-m", module, str(fd), str(self.folder)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = spawn(program, log=log, environ=environ, pass_fds=[fd])
        wait_until(self._is_up, self.process, log)

    def stop(self) -> None:
        assert self.process
        stop(self.process)

    def put_rider(self, username: str, **members: object) -> str:
        """The rider's subject."""
        rider = {
            "username": username,
            "password": PASSWORD,
            "email": f"{username}@example.com",
            "first_name": "Rider",
            "is_staff": True,  # the address is verified
        }
        answer = httpx2.post(f"{self.url}/test/riders", json=rider | members)
        subject: str = answer.raise_for_status().json()["sub"]
        return subject

    def allow(self, redirect_uri: str) -> None:
        """Send riders back there too."""
        self.redirect_uris.add(redirect_uri)
        places = " ".join(self.redirect_uris)
        client = {"client_id": CLIENT, "client_secret": SECRET, "redirect_uris": places}
        httpx2.post(f"{self.url}/test/clients", json=client).raise_for_status()

    def _is_up(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/.well-known/openid-configuration").is_success
        except httpx2.TransportError:
            return False


@dataclass(frozen=True)
class Api:
    """A process of the API."""

    url: str
    log: Path

    def start_url(self, provider: str) -> str:
        return f"{self.url}/api/sign-in/{provider}"


ServeApi = Callable[..., AbstractContextManager[Api]]


@pytest.fixture(scope="session")
def django(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Django]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = Django(listener, tmp_path_factory.mktemp("django"))
        provider.start()
        yield provider
        provider.stop()


@pytest.fixture(scope="session")
def hostile_server() -> Iterator[HostileProvider]:
    with hostile_providers.hostile_provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def serve_api(
    urls: Mapping[str, str],
    django: Django,
    hostile_server: HostileProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServeApi]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        down = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        providers = [
            {"name": "django", "issuer": django.url, "client_id": CLIENT, "client_secret": SECRET},
            {
                "name": "hostile",
                "issuer": hostile_server.issuer,
                "client_id": hostile_providers.CLIENT,
                "client_secret": SECRET,
            },
            {"name": "down", "issuer": down, "client_id": CLIENT},
        ]

        @contextmanager
        def serve(**environ: str) -> Iterator[Api]:
            log = tmp_path_factory.mktemp("api") / "api.log"
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                settings = {
                    "PUBLIC_URL": url,
                    "OIDC_PROVIDERS": json.dumps(providers),
                    "LISTEN_FD": str(listener.fileno()),
                    "SERVICE_TIMEOUT": "30",  # for the provider, on a busy machine
                    "LOG_LEVEL": "debug",
                    "PYTHONPATH": str(ROOT),
                }
                process = spawn(
                    [sys.executable, "-m", "api"],
                    log=log,
                    environ={**os.environ, **urls, **settings, **environ},
                    pass_fds=[listener.fileno()],
                )
                try:
                    wait_until(lambda: _is_live(url), process, log)
                    django.allow(f"{url}/api/sign-in/django/callback")
                    yield Api(url, log)
                finally:
                    stop(process)

        yield serve


@pytest.fixture(scope="session")
def api(serve_api: ServeApi) -> Iterator[Api]:
    """It takes new accounts."""
    with serve_api() as api:
        yield api


@pytest.fixture(autouse=True)
def _unhurried(unthrottled: None) -> None:
    """All the tests come from one address."""


@pytest.fixture
def hostile(hostile_server: HostileProvider) -> HostileProvider:
    hostile_server.reset()
    return hostile_server


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def _is_live(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live").is_success
    except httpx2.TransportError:
        return False
