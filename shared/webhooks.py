"""What API and workers agree on about webhooks: events, secrets, signatures, permitted addresses.

Signatures are those of Standard Webhooks: an HMAC-SHA256 over id, timestamp and body.
"""

import base64
import hashlib
import hmac
import secrets
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from shared.figures import complete

EVENTS: Final = (
    "workout.completed",
    "workout.updated",
    "workout.deleted",
    "record.set",
    "upload.failed",
)
MOST_URL: Final = 2048  # characters of a webhook's address
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32  # Standard Webhooks: 24 to 64
# Networks by which an IPv4 address is reached through an IPv6 address: its last bytes.
_TRANSLATED: Final = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
)
_RELAYS: Final = IPv4Network("192.88.99.0/24")  # of 6to4, which no Python counts as reserved


def make_secret() -> str:
    """A new random secret: ``whsec_`` and base64, as the libraries of receivers take it."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message: ``v1,`` and base64. ``timestamp``: Unix seconds."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def complete_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as it is sent: with all figures of a ride, of which a row has the stored ones."""
    data = message.get("data")
    if not (isinstance(data, dict) and data.get("summary")):
        return message
    return {**message, "data": {**data, "summary": complete(data["summary"])}}


def is_private(address: str | IPv4Address | IPv6Address) -> bool:
    """Whether an IP address is none of the public internet: this machine, its networks, reserved.

    An IPv6 address that stands for an IPv4 one is as private as that. Raises ValueError for what
    is no address.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        within = _within(found)
        if within:
            return any(map(is_private, within))
        if found.is_site_local:
            return True
    elif found in _RELAYS:
        return True
    return found.is_multicast or found.is_reserved or not found.is_global


def check_url(text: str, allow_private: bool) -> None:
    """Whether events may be sent there, as far as the address itself tells.

    What its name resolves to is looked at whenever a worker connects. Raises ValueError, which
    says what is wrong with it.
    """
    if len(text) > MOST_URL:
        raise ValueError(f"must be at most {MOST_URL} characters")
    if not text.isascii() or not text.isprintable() or set(text) & set(' \\"<>^`{|}'):
        raise ValueError("must be an address of printable ASCII, with others %-encoded")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no address of the form https://example.com/path") from None
    if not (parts.scheme == "https" or (allow_private and parts.scheme == "http")):
        raise ValueError("must begin with https://")
    if not host or port == 0:
        raise ValueError("is no address of the form https://example.com/path")
    _require_plain(parts)
    if not allow_private and _names_private(host):
        raise ValueError("must be an address of the public internet")


def _require_plain(parts: SplitResult) -> None:
    """Raises ValueError for what would not be sent, or would be sent beside the signature."""
    if "@" in parts.netloc:
        raise ValueError("must have no user name or password: requests are signed")
    if parts.fragment:
        raise ValueError("must have no fragment: it would not be sent")


def _within(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that a packet to this address may end at."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def _names_private(host: str) -> bool:
    """Whether the host is a private address, or a name that every machine has for itself.

    Also of an address in a form that only the resolver takes for one, as 127.1 or 0x7f000001.
    """
    name = host.rstrip(".")
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return is_private(name)
    except ValueError:
        last = name.rpartition(".")[2]
        return last.isdigit() or last.startswith("0x") or ":" in name
