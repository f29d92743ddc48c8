"""Webhooks of a test, and what is to be delivered to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.connections import Database, Row
from shared.webhooks import EVENTS, make_secret


@dataclass(frozen=True)
class Webhooks:
    """Webhooks as rows."""

    database: Database

    def add(
        self, user_id: str, url: str = "http://127.0.0.1:9/", events: Sequence[str] = EVENTS
    ) -> UUID:
        """A webhook of a user's."""
        return UUID(
            str(
                self._one(
                    "INSERT INTO webhooks (user_id, url, events, secret)"
                    " VALUES (%s, %s, %s, %s) RETURNING id",
                    [user_id, url, list(events), make_secret()],
                )["id"]
            )
        )

    def tell(self, webhook_id: UUID, subject: UUID | str, number: int = 0) -> int:
        """Something to be delivered, as triggers write it; its id."""
        row = self._one(
            "INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject_id, payload)"
            " VALUES (%s, 'msg_' || gen_random_uuid(), 'workout.updated', %s,"
            " jsonb_build_object('type', 'workout.updated', 'data',"
            " jsonb_build_object('number', %s::int))) RETURNING id",
            [webhook_id, subject, number],
        )
        return int(row["id"])

    def webhook(self, webhook_id: UUID) -> Row:
        return self._one("SELECT * FROM webhooks WHERE id = %s", [webhook_id])

    def delivery(self, delivery_id: int) -> Row:
        return self._one("SELECT * FROM webhook_deliveries WHERE id = %s", [delivery_id])

    def deliveries(self, webhook_id: UUID) -> list[Row]:
        """All of a webhook, in their order."""
        query = "SELECT * FROM webhook_deliveries WHERE webhook_id = %s ORDER BY id"
        return self.rows(query, [webhook_id])

    def told(self, webhook_id: UUID) -> list[tuple[str, Any]]:
        """The events and their data, in order."""
        return [(row["event"], row["payload"]["data"]) for row in self.deliveries(webhook_id)]

    def rows(self, query: Any, values: Sequence[object] = ()) -> list[Row]:
        with self.database.connection() as connection:
            return connection.execute(query, values).fetchall()

    def run(self, query: Any, values: Sequence[object] = ()) -> None:
        with self.database.connection() as connection:
            connection.execute(query, values)

    def _one(self, query: Any, values: Sequence[object]) -> Row:
        [row] = self.rows(query, values)
        return row
