"""Steps at which a test may make a process fail: ``FAILPOINT=NAME=ACTION``.

Unset, as it always is outside tests, a step is an empty function. The actions:

* ``kill``: SIGKILL, as the kernel does when memory is short;
* ``stop``: SIGSTOP, as a machine that stalls;
* ``raise``: an error that no retry cures;
* ``hoard``: take memory until the process may have no more;
* ``spin``: compute for ever.
"""

import os
import signal


class Failed(Exception):
    """What a failpoint raises."""


def failpoint(name: str) -> None:
    """The process fails here if it was told to."""


def _fail(action: str) -> None:
    if action == "raise":
        raise Failed("a failpoint was set")
    if action == "hoard":
        hoard = []
        while True:
            hoard.append(bytearray(64 * 1024 * 1024))
    while action == "spin":
        pass
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)


if _told := os.environ.get("FAILPOINT"):
    _name, _, _action = _told.partition("=")

    def failpoint(name: str) -> None:
        """Fail, if this is the step that was named."""
        if name == _name:
            _fail(_action)
