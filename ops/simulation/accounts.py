"""Whose rides they are: accounts of the riders' own, for quotas are of an account."""

import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import cycle, islice
from typing import Final

import httpx2

from ops.admin.accounts import create_account
from ops.demo.requests import RideRefused
from ops.live.events import detail_of
from ops.simulation.riders import SimulatedRider

_LIFETIME: Final = timedelta(days=7)
Keys = list[str | None]


def keys_by_database(database_url: str, riders: Sequence[SimulatedRider]) -> Keys:
    """A key for each, good for a week. The same riders have the same accounts the next time."""
    until = datetime.now(UTC) + _LIFETIME
    emails = [f"{each.name}@riders.example" for each in riders]
    accounts = [create_account(database_url, each, "make simulate", until) for each in emails]
    return [each.api_key for each in accounts]


def keys_by_service(url: str, riders: Sequence[SimulatedRider]) -> Keys:
    """A key for each, of a service that lets riders register; none where it asks for none.

    It takes only so many new accounts of one address in an hour: if they do not suffice, riders
    share them. Raises RideRefused if there is not one.
    """
    with httpx2.Client(base_url=url, timeout=60) as client:
        if client.get("/api/workouts").is_success:
            return [None] * len(riders)
        keys = list(_registered(client, riders))
    return list(islice(cycle(keys), len(riders)))


def _registered(client: httpx2.Client, riders: Sequence[SimulatedRider]) -> Iterator[str]:
    password = secrets.token_urlsafe(18)
    for at, rider in enumerate(riders):
        email = f"{rider.name}.{secrets.token_hex(6)}@example.com"
        account = {"email": email, "password": password}
        answer = client.post("/api/users", json={**account, "displayName": rider.name})
        if answer.is_success:
            answer = client.post("/api/sessions", json=account)
        if at and answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return
        if not answer.is_success:
            raise RideRefused(f"say KEY=…: no account for a rider: {detail_of(answer)}")
        yield answer.json()["secret"]
