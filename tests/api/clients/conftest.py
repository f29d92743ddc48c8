"""The service as clients of the original know it, with requests without a key let in and not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from secrets import token_hex

import httpx2
import pytest

from tests.api.clients.talking import Phone
from tests.api.serving import serving
from tests.conftest import Rider


@dataclass(frozen=True)
class Original:
    """An API process, by a client without a key. ``anonymous``: whether that is let in."""

    client: httpx2.Client
    anonymous: bool


@pytest.fixture(scope="session", params=[False, True], ids=["keys", "anonymous"])
def original(
    request: pytest.FixtureRequest,
    urls: Mapping[str, str],
    service: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Original]:
    """Its worker is that of ``service``."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    allowed = "1" if request.param else "0"
    with serving(urls, log, CORS_ORIGINS="*", ALLOW_ANONYMOUS=allowed) as client:
        yield Original(client, request.param)


@pytest.fixture
def make_phone(
    original: Original, make_rider: Callable[[], Rider]
) -> Iterator[Callable[[], Phone]]:
    """Makes phones of users that nobody else has."""
    clients = []

    def make() -> Phone:
        account = make_rider().account
        headers = {"X-API-Key": account.api_key}
        clients.append(
            httpx2.Client(base_url=original.client.base_url, headers=headers, timeout=60)
        )
        return Phone(account, clients[-1])

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def phone(make_phone: Callable[[], Phone]) -> Phone:
    return make_phone()


@pytest.fixture
def name() -> str:
    """A stream's name that no other test has."""
    return f"ride-{token_hex(6)}"
