"""What a ``REDIS_URL`` may be: one server, a cluster, or servers that sentinels watch over.

| form                                                             | meaning                       |
|------------------------------------------------------------------|-------------------------------|
| ``redis://user:password@host:port/number``, ``unix://path``      | one server                    |
| ``redis+cluster://user:password@host:port,host:port/``           | some nodes of a Redis Cluster |
| ``redis+sentinel://user:password@host:port,host:port/name``      | sentinels, and what they call |
|                                                                  | the primary; then /number     |

``rediss`` in place of ``redis`` is the same by TLS. Options follow a ``?``. Sentinels are asked
without a password unless ``sentinel_username`` and ``sentinel_password`` are among them.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.connection import SSLConnection, parse_url

FORM: Final = (
    "is not of the form redis://user:password@host:port/number, rediss://, unix://,"
    " redis+cluster://host:port,host:port/ or redis+sentinel://host:port,host:port/name"
)
_SENTINELS_OWN: Final = ("sentinel_username", "sentinel_password")
_PORTS: Final = {"cluster": 6379, "sentinel": 26379}
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?")
Host = tuple[str, int]


@dataclass(frozen=True)
class ClusterUrl:
    """Some nodes, which know the others. ``options`` are the driver's, for each node."""

    hosts: tuple[Host, ...]
    options: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class SentinelUrl:
    """Sentinels, and the ``name`` of the primary; ``own`` are the options to reach themselves."""

    hosts: tuple[Host, ...]
    name: str
    options: dict[str, Any] = field(repr=False)
    own: dict[str, Any] = field(repr=False)


def parse_redis_url(text: str) -> ClusterUrl | SentinelUrl | None:
    """What a URL names; None for one server. Raises ValueError, without a word of the URL."""
    scheme, _, kind = text.partition("://")[0].partition("+")
    if kind not in _PORTS or scheme not in ("redis", "rediss"):
        parse_url(text)  # type: ignore[no-untyped-call]
        return None
    parts = urlsplit(text)
    access, at, listed = parts.netloc.rpartition("@")
    hosts = tuple(_host(each, _PORTS[kind]) for each in listed.split(","))
    query = dict(parse_qsl(parts.query))
    own = {name: query.pop(name) for name in _SENTINELS_OWN if name in query}
    name, _, number = parts.path.strip("/").partition("/")
    if kind == "cluster" and (name or own):
        raise ValueError("a cluster has one database, and no name")
    if kind == "sentinel" and not name:
        raise ValueError("the name of the primary is missing")
    if number and not number.isdecimal():
        raise ValueError("a database has a number")
    options = _options(f"{scheme}://{access}{at}host/{number}?{urlencode(query)}")
    if kind == "cluster":
        return ClusterUrl(hosts, options)
    access_of_theirs = {key.removeprefix("sentinel_"): value for key, value in own.items()}
    tls = {key: value for key, value in options.items() if key.startswith("ssl")}
    return SentinelUrl(hosts, name, options, access_of_theirs | tls)


def _options(url: str) -> dict[str, Any]:
    """Of a server, whichever host it has."""
    options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    del options["host"]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return options


def _host(text: str, port: int) -> Host:
    found = _HOST.fullmatch(text)
    if not found or int(found[2] or 0) > 65_535:
        raise ValueError("not a host")
    return found[1].strip("[]"), int(found[2] or port)
