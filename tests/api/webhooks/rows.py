"""Webhooks that are made over HTTP, and deliveries as workers write them."""

from typing import Any
from uuid import uuid4

from psycopg.types.json import Jsonb

from shared.connections import Database
from tests.conftest import Rider

URL = "https://receiver.example/rides"


def make_webhook(rider: Rider, **members: Any) -> dict[str, Any]:
    """The answer: the webhook, and its secret."""
    wanted = {"url": URL, "events": ["workout.completed"], **members}
    response = rider.client.post("/api/webhooks", json=wanted)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def get_webhook(rider: Rider, webhook_id: str) -> dict[str, Any]:
    """As it is now."""
    response = rider.client.get(f"/api/webhooks/{webhook_id}")
    assert response.status_code == 200, response.text
    webhook: dict[str, Any] = response.json()["webhook"]
    return webhook


def write_delivery(
    database: Database, webhook_id: str, status: str = "delivered", **columns: Any
) -> int:
    """A delivery as one that was tried would be; its id."""
    row = {
        "webhook_id": webhook_id,
        "message_id": f"msg_{uuid4().hex}",
        "event": "workout.completed",
        "subject_id": uuid4(),
        "payload": Jsonb({"type": "workout.completed", "data": {"title": "Evening ride"}}),
        "status": status,
        **columns,
    }
    names, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    query = f"INSERT INTO webhook_deliveries ({names}) VALUES ({values}) RETURNING id"
    with database.connection() as connection:
        made = connection.execute(query.encode(), row).fetchone()
    assert made
    return int(made["id"])
