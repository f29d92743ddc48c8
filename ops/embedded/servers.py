"""Which PostgreSQL and Redis to use: the owner's where named, else this checkout's own."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ops.embedded.guest import stay
from ops.embedded.postgres import postgres_server, server_user
from ops.embedded.valkey import valkey_server
from ops.private_files import make_private, private_folder, shut_all
from ops.processes import Supervisor, wait_until
from shared.errors import InvalidSettings
from shared.settings import require_sound

_KEYS: Final = ("DATABASE_URL", "REDIS_URL")
_FOLDERS: Final = ("logs", "postgres", "valkey")
_BEFORE_US: Final = {"backups", "lost+found", "metrics"}  # folders that come before the servers


def _to_stderr(event: str) -> None:
    print(event, file=sys.stderr)


@contextmanager
def servers(
    environ: Mapping[str, str], data_dir: Path, report: Callable[[str], None] = _to_stderr
) -> Iterator[dict[str, str]]:
    """Yields an environment in which DATABASE_URL and REDIS_URL name running servers.

    With neither set, embedded servers on ``data_dir`` serve: started for their first user by a
    keeper process (ops.embedded.keeper), which stops them when the last user has left.
    ``report`` is told whenever one had to be started anew.
    """
    named = [key for key in _KEYS if environ.get(key)]
    if len(named) == 1:
        raise InvalidSettings(f"{named[0]} is set: set {' and '.join(_KEYS)} both, or neither")
    for key in named:
        require_sound(key, environ[key])
    if named:
        yield dict(environ)
        return
    prepare(data_dir)
    with stay(data_dir, report) as urls:
        yield {**environ, **urls}


@contextmanager
def embedded_servers(
    data_dir: Path, supervisor: Supervisor | None = None
) -> Iterator[dict[str, str]]:
    """Run both servers on ``data_dir``, behind sockets in a private folder; yields their URLs."""
    prepare(data_dir)
    urls = []
    shut_all(data_dir, _FOLDERS)
    home = private_folder(server_user(), data_dir / "sockets")
    with home as sockets, supervisor or Supervisor() as running:
        for server in (postgres_server(data_dir, sockets), valkey_server(data_dir, sockets)):
            process = running.start(server.spawn, server.stop_signal, server.log)
            wait_until(server.answers, process, server.log)
            urls.append(server.url)
        yield dict(zip(_KEYS, urls, strict=True))


def prepare(data_dir: Path) -> None:
    """Make the folders that everything else is kept in, for nobody else to enter.

    Where root's PostgreSQL runs as another user on a folder in ours, that user may pass.
    """
    if _is_of_others(data_dir):
        raise InvalidSettings(
            f"DATA_DIR names {data_dir}, in which others have things, and it would be shut to them:"
            " name a folder of its own, or servers by DATABASE_URL and REDIS_URL"
        )
    user, home = server_user(), data_dir / "postgres"
    passes = user is not None and home.is_dir() and not home.is_symlink()
    make_private(data_dir, user.pw_gid if user and passes else None)
    make_private(data_dir / "logs")


def _is_of_others(data_dir: Path) -> bool:
    """As /var/lib is: it has folders that are not ours, and nothing that each of ours has."""
    here = list(data_dir.iterdir()) if data_dir.is_dir() else []
    if {path.name for path in here} & {"keeper.lock", *_FOLDERS}:
        return False
    return any(path.is_dir() and path.name not in _BEFORE_US for path in here)
