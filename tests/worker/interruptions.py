"""Something that happens in the middle of a fold or a sweep: at a command, or by PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import redis
from redis.client import Pipeline

from shared.connections import Database, Redis


class Killed(BaseException):
    """The worker is no more."""


def kill() -> None:
    raise Killed


class Interrupted(redis.Redis):
    """Redis, where something happens just before or just after the first command of a name."""

    def __init__(
        self,
        client: Redis,
        *,
        before: str = "",
        after: str = "",
        happens: Callable[[], object] = kill,
    ) -> None:
        super().__init__(connection_pool=client.connection_pool)
        self._before, self._after, self._happens = before, after, happens

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == self._before:
            self._interrupt()
        really: Any = super()
        reply = really.execute_command(*args, **options)
        if args[0] == self._after:
            self._interrupt()
        return reply

    def pipeline(self, *_: Any, **__: Any) -> "_Steps":
        return _Steps(self)

    def _interrupt(self) -> None:
        self._before = self._after = ""
        self._happens()


class _Steps(Pipeline):
    """A pipeline's commands one after the other: something may happen between any two."""

    def __init__(self, client: Interrupted) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: ARG002
        steps, self.command_stack = self.command_stack, []
        return [self._client.execute_command(*args, **options) for args, options in steps]


@contextmanager
def refusing(database: Database, statement: str, workout_id: UUID) -> Iterator[None]:
    """PostgreSQL fails each UPDATE or DELETE of a workout, after all that came before it."""
    trigger = f"""
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE TRIGGER refuse BEFORE {statement} ON workouts
            FOR EACH ROW WHEN (old.id = '{workout_id}') EXECUTE FUNCTION refuse()"""
    with database.connection() as connection:
        connection.execute(trigger.encode())
    try:
        yield
    finally:
        with database.connection() as connection:
            connection.execute("DROP TRIGGER refuse ON workouts")
