"""What is asked of many rides in one go, of which some may be of a node that is away."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from redis.client import Pipeline
from redis.exceptions import OutOfMemoryError, RedisError

from shared.connections import Redis, by_server, passing_over

Ask = Callable[[Pipeline, str], object]


def ask_each(
    client: Redis, subjects: Iterable[UUID], key: Callable[[UUID], str], ask: Ask
) -> dict[UUID, Any]:
    """What each subject's key is told, in one trip to each server.

    Those that a node of a cluster does not answer for, or has no more, are not in it: they are
    asked again some other time. Of a full Redis the answer may be an OutOfMemoryError.

    Raises redis.RedisError.
    """
    by_key = {key(each): each for each in subjects}
    answers = dict[UUID, Any]()
    for server, keys in by_server(client, by_key):
        with passing_over(client, f"some of {len(keys)} rides or files"):
            told = dict(zip(keys, _ask(server, keys, ask), strict=True))
            refused = {each: answer for each, answer in told.items() if _is_refused(answer)}
            answers |= {by_key[each]: told[each] for each in told.keys() - refused.keys()}
            for error in refused.values():
                raise error
    return answers


def _ask(server: Redis, keys: Sequence[str], ask: Ask) -> list[Any]:
    with server.pipeline(transaction=False) as pipe:
        for each in keys:
            ask(pipe, each)
        answers: list[Any] = pipe.execute(raise_on_error=False)
    return answers


def _is_refused(answer: Any) -> bool:
    return isinstance(answer, RedisError) and not isinstance(answer, OutOfMemoryError)
