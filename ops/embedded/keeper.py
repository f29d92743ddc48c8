"""Keeps the embedded servers of a data folder for as long as somebody uses them.

``python -m ops.embedded.keeper DATA_DIR``, started by ``ops.embedded.guest``. A guest is connected
to us for as long as it uses the servers; the kernel closes the connection of one that is killed.
The last one gone stops the servers. A server that ends before is started again.
"""

import json
import os
import select
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ops.embedded.guest import address_file
from ops.embedded.servers import embedded_servers
from ops.private_files import private_folder, write_private
from ops.processes import Supervisor, stop_on_signals
from shared.errors import TrackerError

_PATIENCE: Final = 30.0  # seconds until the first guest has come; that of a killed one never does
_LOOK_INTERVAL: Final = 0.5  # seconds between looks at the servers


def keep(data_dir: Path) -> None:
    """Run the servers until the last guest has left."""
    with private_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(folder / "keeper.sock")
        listener.bind(address)
        listener.listen(128)
        write_private(address_file(data_dir), address)
        supervisor, guests = Supervisor(), list[socket.socket]()
        try:
            with embedded_servers(data_dir, supervisor) as urls:
                _serve(listener, guests, json.dumps(urls), supervisor)
        finally:
            address_file(data_dir).unlink(missing_ok=True)


def _serve(
    listener: socket.socket, guests: list[socket.socket], urls: str, supervisor: Supervisor
) -> None:
    """Tell each guest the URLs, and all of them what happens to the servers.

    The last one to leave stays connected until we end: that is how it learns of it.
    """

    def report(event: str) -> None:
        print(event, flush=True)
        for guest in guests:
            _tell(guest, event)

    patience = time.monotonic() + _PATIENCE
    while guests or time.monotonic() < patience:
        for ready in select.select([listener, *guests], [], [], _LOOK_INTERVAL)[0]:
            if ready is listener:
                guests.append(listener.accept()[0])
                _tell(guests[-1], urls)
            elif len(guests) == 1:
                return
            else:
                guests.remove(ready)
                ready.close()
        supervisor.restart_ended(report)


def _tell(guest: socket.socket, line: str) -> None:
    with suppress(OSError):  # it has left, or does not read
        guest.send(f"{line}\n".encode(), socket.MSG_DONTWAIT)


def main() -> None:
    """Go on in the background, so that whoever started us need not wait for our end."""
    if os.fork():
        return
    stop_on_signals()
    try:
        keep(Path(sys.argv[1]))
    except TrackerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
