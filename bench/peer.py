"""A peer server of the original design, if one is named: a sample a request, an entry a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from bench.load import Address, http_request

Sample = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Where it is, and a key of its own."""

    url: str
    key: str

    @property
    def address(self) -> Address:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def uploads(self, streams: Sequence[str], samples: Sequence[Sample]) -> list[bytes]:
        """Requests that send each sample to each stream."""
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        paths = [f"/api/streams/{stream}/messages" for stream in streams]
        bodies = [msgspec.json.encode({"message": _wire_form(each)}) for each in samples]
        return [http_request("POST", path, headers, body) for body in bodies for path in paths]

    def client(self) -> httpx2.Client:
        """For single requests."""
        return httpx2.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=60)


def entries(samples: Sequence[Sample]) -> list[dict[str, str]]:
    """The stream entries that the peer makes of samples."""
    return [{"message": _wire_form(each), "timestamp": "1700000000000"} for each in samples]


def _wire_form(sample: Sample) -> str:
    """As its own clients encode a sample before they send it."""
    return msgspec.json.encode(sample).decode()
