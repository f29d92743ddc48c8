"""Where a process of a test runs: on this machine, or on a host that `network` has made."""

import ctypes
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAMESPACES: Final = Path("/run/netns")
_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET


@dataclass(frozen=True)
class Host:
    """Where processes run; by default, this machine by its loopback."""

    name: str = ""
    address: str = "127.0.0.1"
    namespace: str = ""

    def inside(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs another one on it, as the same process."""
        return [*(("ip", "netns", "exec", self.namespace) if self.namespace else ()), *argv]

    def listen(self) -> socket.socket:
        """A socket that takes connections on it, at a port of the kernel's choice."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._listen).result()

    def _listen(self) -> socket.socket:
        if self.namespace:
            enter(self.namespace)
        return socket.create_server((self.address, 0))


HERE: Final = Host()


def enter(namespace: str) -> None:
    """Have this thread, and all that it starts, be on a host from now on. Raises OSError."""
    with (NAMESPACES / namespace).open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _NEW_NETWORK):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
