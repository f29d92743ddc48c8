"""What is asked of many rides in one go, of which some may be of a node that is away."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import redis
from redis.client import Pipeline

from shared.connections import Redis, by_server, is_away, passing_over
from shared.redis_cluster import ELSEWHERE

Ask = Callable[[Pipeline, str], object]
T = TypeVar("T")


def ask_each(
    client: Redis, subjects: Iterable[UUID], key: Callable[[UUID], str], ask: Ask
) -> dict[UUID, Any]:
    """What each subject's key is told, in one trip to each server.

    Those for which a node of a cluster does not answer are not in it: they are asked again some
    other time. Raises redis.RedisError.
    """
    by_key = {key(each): each for each in subjects}
    told = dict[str, Any]()
    for server, keys in by_server(client, by_key):
        if keys:
            with passing_over(client, key=keys[0]):
                told |= _ask(server, keys, ask)
    if moved := [each for each, answer in told.items() if isinstance(answer, ELSEWHERE)]:
        with passing_over(client, key=moved[0]):
            told |= _ask(client, moved, ask)  # the driver asks whoever has them by now
    return {by_key[each]: answer for each, answer in _taken(client, told)}


def reached(client: Redis, subjects: Iterable[T], key: Callable[[T], str]) -> Iterator[T]:
    """Those whose server is not known to be away when it is their turn."""
    for each in subjects:
        if not is_away(client, key(each)):
            yield each


def _ask(server: Redis, keys: Sequence[str], ask: Ask) -> dict[str, Any]:
    with server.pipeline(transaction=False) as pipe:
        for each in keys:
            ask(pipe, each)
        return dict(zip(keys, pipe.execute(raise_on_error=False), strict=True))


def _taken(client: Redis, told: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The answers, without refusals. Raises what the only server refuses."""
    for key, answer in told.items():
        if not isinstance(answer, redis.RedisError):
            yield key, answer
        else:
            with passing_over(client, key=key):
                raise answer
