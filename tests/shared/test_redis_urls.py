"""The forms of REDIS_URL."""

import pytest

from shared.redis_urls import ClusterUrl, SentinelUrl, parse_redis_url


@pytest.mark.parametrize("url", ["redis://cache", "rediss://u:p@cache:1/2", "unix:///tmp/x.sock"])
def test_one_server_is_left_to_the_driver(url: str) -> None:
    assert parse_redis_url(url) is None


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    found = parse_redis_url(
        "redis+cluster://me:p%40ss@one:7000,two,[::1]:7001/?health_check_interval=3"
    )
    assert found == ClusterUrl(
        (("one", 7000), ("two", 6379), ("::1", 7001)),
        {"username": "me", "password": "p@ss", "health_check_interval": 3},
    )


def test_nodes_are_reached_by_tls_where_the_scheme_says_so() -> None:
    found = parse_redis_url("rediss+cluster://one/")
    assert isinstance(found, ClusterUrl)
    assert found.options == {"ssl": True}


def test_sentinels_are_asked_for_a_name_and_by_a_password_of_their_own() -> None:
    url = "redis+sentinel://:secret@one,two:1/tracker/2?sentinel_username=s&sentinel_password=own"
    assert parse_redis_url(url) == SentinelUrl(
        (("one", 26379), ("two", 1)),
        "tracker",
        {"password": "secret", "db": 2},
        {"username": "s", "password": "own"},
    )


def test_no_password_is_shown() -> None:
    urls = ("redis+cluster://:hush@one", "redis+sentinel://:hush@one/x?sentinel_password=hush")
    assert not any("hush" in repr(parse_redis_url(url)) for url in urls)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://one/2",
        "redis+cluster://one,/",
        "redis+cluster://one:99999/",
        "redis+cluster://one/?sentinel_password=x",
        "redis+sentinel://one,two/",
        "redis+sentinel://one/name/x",
        "redis+other://one/",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        assert parse_redis_url(url)
