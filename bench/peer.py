"""A peer server of the original design, if one is named: a sample a request, an entry a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from bench.load import Address, Request, http_request


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

    def upload(self, stream: str, sample: dict[str, Any]) -> Request:
        """The request that sends a sample, which its own clients encode before they send it."""
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        body = msgspec.json.encode({"message": wire_form(sample)})
        return http_request("POST", f"/api/streams/{stream}/messages", headers, body)

    def client(self) -> httpx.Client:
        """For single requests."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=60)


def start_ride(client: httpx.Client) -> tuple[str, str]:
    """A new workout of the peer: its id and the name of its stream."""
    workout = client.post("/api/workouts", json={"title": "bench"}).raise_for_status().json()
    return workout["workout"]["id"], workout["workout"]["stream_name"]


def wire_form(sample: dict[str, Any]) -> str:
    """A sample as the peer stores it."""
    return msgspec.json.encode(sample).decode()


def entries(samples: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The stream entries that the peer makes of samples."""
    return [{"message": wire_form(each), "timestamp": "1700000000000"} for each in samples]
