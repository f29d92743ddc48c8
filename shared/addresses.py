"""Checks of the addresses in settings, made when the process starts.

An error never quotes an address: its password would be in the log.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shared.redis_urls import FORM, parse_redis_url

# Scheme, user and password, hosts, and whatever else.
_SPLIT: Final = re.compile(r"[a-z+]+://([^/?#@]*@)?[^/?#@]*([/?][^#@]*)?", re.DOTALL)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def require_database_url(text: str) -> None:
    """Raises ValueError."""
    form = "is not of the form postgresql://user:password@host:port/name"
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(form)
    _require_escapes(text, form)
    try:
        parts = conninfo_to_dict(text)
    except psycopg.Error:
        raise ValueError(form) from None
    if not re.fullmatch("[0-9,]*", str(parts.get("port", ""))):
        raise ValueError(form)


def require_redis_url(text: str) -> None:
    """Raises ValueError."""
    _require_escapes(text, FORM)
    try:
        parse_redis_url(text)
    except ValueError:
        raise ValueError(FORM) from None


def require_origin(text: str) -> None:
    """Raises ValueError for what no browser would send as an ``Origin``."""
    if text == "*":
        return
    if not _ORIGIN.fullmatch(text):
        raise ValueError("is not of the form https://app.example.com, in lower case, nor *")
    parts = urlsplit(text)
    if parts.port is not None and parts.port == _DEFAULT_PORTS.get(parts.scheme):
        raise ValueError("names a port that browsers leave out")


def require_network(text: str) -> None:
    """Raises ValueError for what is neither an address nor a network."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("is neither an IP address nor a network such as 10.0.0.0/8") from None


def require_originals_url(text: str) -> None:
    """Raises ValueError."""
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?", text):
        raise ValueError("is not of the form s3://bucket/prefix")


def require_endpoint(text: str) -> None:
    """Raises ValueError."""
    if not re.fullmatch(r"https?://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?/?", text):
        raise ValueError("is not of the form https://host:port")


def require_tiles_url(text: str) -> None:
    """Raises ValueError for what no browser could make the addresses of tiles of."""
    origin, _, path = text.partition("://")[2].partition("/")
    if not _ORIGIN.fullmatch(f"{text.partition('://')[0]}://{origin}") or not text.startswith(
        "http"
    ):
        raise ValueError("is not of the form https://tiles.example.com/{z}/{x}/{y}.png")
    if any(path.count(part) != 1 for part in ("{z}", "{x}", "{y}")):
        raise ValueError("names each of {z}, {x} and {y} once, in its path")


# By the name of the setting; of a list, for each of its entries.
CHECKS: Final[Mapping[str, Callable[[str], None]]] = {
    "DATABASE_URL": require_database_url,
    "DATABASE_READ_URL": require_database_url,
    "REDIS_URL": require_redis_url,
    "CORS_ORIGINS": require_origin,
    "TRUSTED_PROXIES": require_network,
    "ORIGINALS_URL": require_originals_url,
    "ORIGINALS_ENDPOINT": require_endpoint,
    "MAP_TILES_URL": require_tiles_url,
}


def _require_escapes(text: str, form: str) -> None:
    """Raises ValueError for ``/ ? # @`` in a password: the rest of it would be logged as a host."""
    if not _SPLIT.fullmatch(text):
        raise ValueError(f"{form}, with / ? # @ of a password as %2F %3F %23 %40")
    try:
        urlsplit(text)
    except ValueError:
        raise ValueError(form) from None
