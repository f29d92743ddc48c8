"""A small Redis prompt, for machines without redis-cli or valkey-cli."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import redis


def open_prompt(redis_url: str, command: Sequence[str]) -> int:
    """Run one command, or those typed until end of file; redis-cli's own prompt where it is."""
    for name in ("valkey-cli", "redis-cli"):
        if program := shutil.which(name):
            return subprocess.call([program, *_address(redis_url), *command])
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        if command:
            return _execute(client, command)
        _converse(client)
    return 0


def _address(redis_url: str) -> list[str]:
    parts = urlsplit(redis_url)
    return ["-s", parts.path] if parts.scheme == "unix" else ["-u", redis_url]


def _converse(client: redis.Redis) -> None:
    while True:
        try:
            words = shlex.split(input("redis> " if sys.stdin.isatty() else ""))
        except EOFError:
            return
        except ValueError as error:
            _show([f"(error) {error}"])
            continue
        if words[:1] in (["quit"], ["exit"]):
            return
        if words:
            _execute(client, words)


def _execute(client: redis.Redis, words: Sequence[str]) -> int:
    try:
        reply = client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.RedisError as error:
        _show([f"(error) {error}"])
        return 1
    _show(_lines(reply))
    return 0


def _lines(reply: object) -> list[object]:
    if isinstance(reply, dict):
        return [f"{name}: {value}" for name, value in reply.items()]
    return reply if isinstance(reply, list) else [reply]


def _show(lines: Iterable[object]) -> None:
    for line in lines:
        print(line)
