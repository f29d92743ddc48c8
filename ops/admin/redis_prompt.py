"""A Redis prompt: the machine's own client, or, where it has none, a plain one."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import redis

from shared.connections import primaries_of, redis_at
from shared.redis_urls import ClusterUrl, SentinelUrl, parse_redis_url

# Of the client, for those of a URL.
_OPTIONS: Final = {"ssl_ca_certs": "--cacert", "ssl_certfile": "--cert", "ssl_keyfile": "--key"}


def open_prompt(redis_url: str, command: Sequence[str]) -> int:
    """Run one command, or those typed until the end of the input."""
    for name in ("valkey-cli", "redis-cli"):
        program = shutil.which(name)
        if program and not isinstance(parse_redis_url(redis_url), SentinelUrl):
            address, environ = _reaching(redis_url)
            return subprocess.call([program, *address, *command], env=environ)
    how: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "backslashreplace",
        "protocol": 2,
    }
    with redis_at(redis_url, **how) as client:
        for callbacks in (client, *primaries_of(client).values()):
            if isinstance(callbacks, redis.Redis):
                callbacks.response_callbacks.clear()  # they would make True of a PONG
        if command:
            return 0 if _execute(client, command) else 1
        for words in _typed():
            _execute(client, words)
    return 0


def _reaching(redis_url: str) -> tuple[list[str], dict[str, str]]:
    """The client's arguments, and an environment with the password: `ps` shows the former."""
    path = redis_url.removeprefix("unix://")
    if path != redis_url:
        return ["-s", path], dict(os.environ)
    parts = urlsplit(redis_url)
    where = parse_redis_url(redis_url)
    host = parts.netloc.rpartition("@")[2].partition(",")[0]
    one = parts._replace(scheme=parts.scheme.partition("+")[0], netloc=host, query="")
    address = ["-c"] * isinstance(where, ClusterUrl) + ["-u", urlunsplit(one)]
    if parts.username:
        address += ["--user", unquote(parts.username)]
    for name, value in parse_qsl(parts.query):
        address += [_OPTIONS[name], value] if name in _OPTIONS else []
        address += ["--insecure"] * ((name, value) == ("ssl_cert_reqs", "none"))
    secret = {"REDISCLI_AUTH": unquote(parts.password)} if parts.password else {}
    return address, {**os.environ, **secret}


def _typed() -> Iterator[list[str]]:
    while True:
        try:
            words = shlex.split(input("redis> " if sys.stdin.isatty() else ""))
        except EOFError:
            return
        except ValueError as error:
            print(f"(error) {error}")
            continue
        if words in (["quit"], ["exit"]):
            return
        if words:
            yield words


def _execute(client: redis.Redis, words: Sequence[str]) -> bool:
    try:
        _show(client.execute_command(*words))  # type: ignore[no-untyped-call]
    except redis.RedisError as error:
        print(f"(error) {error}")
        return False
    return True


def _show(reply: object) -> None:
    for part in reply if isinstance(reply, list) else [reply]:
        if isinstance(part, list):
            _show(part)
        else:
            print("(nil)" if part is None else part)
