"""Keeps the embedded servers of a data folder for as long as somebody uses them.

``python -m ops.keeper DATA_DIR``, started by ``servers``. Users may come and go, or be killed
outright: the kernel then lets go of their locks, and the last one gone stops the servers.
"""

import json
import os
import sys
import time
from pathlib import Path

from ops.processes import stop_on_signals
from ops.servers import (
    addresses_file,
    embedded_servers,
    keeper_lock,
    try_lock,
    users_lock,
    write_private,
)
from shared.errors import TrackerError


def keep(data_dir: Path) -> None:
    """Run the servers until nobody uses them."""
    addresses = addresses_file(data_dir)
    with users_lock(data_dir) as users:
        try:
            with embedded_servers(data_dir) as urls:
                write_private(addresses, json.dumps(urls))
                # The lock, once ours, keeps new users waiting until the servers have stopped.
                while not try_lock(users):
                    time.sleep(0.1)
        finally:
            addresses.unlink(missing_ok=True)


def main() -> None:
    """Go on in the background as the keeper of the folder named, unless it has one.

    The lock is taken before the fork and shared over it: when the caller gets its answer, there
    is a keeper.
    """
    data_dir = Path(sys.argv[1])
    with keeper_lock(data_dir) as alone:
        if not try_lock(alone) or os.fork():
            return
        stop_on_signals()
        try:
            keep(data_dir)
        except TrackerError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
