"""Uploads go two ways, the fast lane and the usual one: what these tests say holds for both."""

from collections.abc import Iterator, Mapping

import pytest

from tests.conftest import serving


@pytest.fixture(scope="session")
def usual_service(
    urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One more API process beside ``service``, without the lane."""
    log = tmp_path_factory.mktemp("logs") / "usual-api.log"
    with serving(log, **{**urls, "FAST_LANE": "0"}) as url:
        yield url


@pytest.fixture(params=["fast", "usual"])
def way(request: pytest.FixtureRequest) -> str:
    """Not a parameter of ``service`` itself: that would start all processes anew for each test."""
    name: str = request.param
    return name


@pytest.fixture
def service(request: pytest.FixtureRequest, service: str, way: str) -> str:
    """The address of an API with the lane, or without."""
    if way == "fast":
        return service
    address: str = request.getfixturevalue("usual_service")
    return address
