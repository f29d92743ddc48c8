"""Keeps the embedded servers of a data folder for as long as somebody uses them.

``python -m ops.embedded.keeper DATA_DIR``, started by ``servers``. Users may come and go, or be
killed outright: the kernel then lets go of their locks, and the last one gone stops the servers.
"""

import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import IO

from ops.embedded.servers import (
    addresses_file,
    embedded_servers,
    keeper_lock,
    try_lock,
    users_lock,
    write_private,
)
from ops.processes import Process, ProcessFailed, stop_on_signals
from shared.errors import TrackerError


def keep(data_dir: Path) -> None:
    """Run the servers until nobody uses them. Raises ProcessFailed if one ends before."""
    addresses, watched = addresses_file(data_dir), list[Process]()
    with users_lock(data_dir) as users:
        try:
            with embedded_servers(data_dir, watched) as urls:
                write_private(addresses, json.dumps(urls))
                # The lock, once ours, keeps new users waiting until the servers have stopped.
                while not try_lock(users):
                    time.sleep(0.1)
                    if any(server.poll() is not None for server in watched):
                        raise ProcessFailed("a server ended by itself; see the other logs")
        finally:
            addresses.unlink(missing_ok=True)


def main() -> None:
    """Go on in the background as the keeper of the folder named, unless it has one.

    The lock is taken before the fork and shared over it: when the caller gets its answer, there
    is a keeper.
    """
    data_dir = Path(sys.argv[1])
    with keeper_lock(data_dir) as alone:
        if not _become_keeper(alone):
            return
        addresses_file(data_dir).unlink(missing_ok=True)  # of a keeper that was killed
        if os.fork():
            return
        stop_on_signals()
        try:
            keep(data_dir)
        except TrackerError as error:
            sys.exit(str(error))


def _become_keeper(alone: IO[str]) -> bool:
    """Take the lock; False if a keeper has it. Whoever only asks for it lets go at once."""
    while not try_lock(alone):
        if not try_lock(alone, fcntl.LOCK_SH):
            return False
        fcntl.flock(alone, fcntl.LOCK_UN)
        time.sleep(0.01)
    return True


if __name__ == "__main__":
    main()
