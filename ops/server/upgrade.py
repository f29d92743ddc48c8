"""`make upgrade`: back up, migrate, restart one after the other; and back, if that fails.

The version before goes on serving until each of its processes is replaced, which migrations suit.
Standard library only.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from ops.server.install import add_release, layout_of, write_units
from ops.server.layout import NAME, SYSTEMCTL, Layout

_KEPT_RELEASES: Final = 3
_SETTLED: Final = 5.0  # seconds that a worker must have run
_READY_WITHIN: Final = 60.0  # seconds


class UpgradeFailed(Exception):
    """The new version does not run here; the one before does again."""


class Services(Protocol):
    """The processes, each with a name."""

    def names(self) -> Sequence[str]:
        """In the order in which they are to be restarted."""

    def take_units(self, release: Path) -> None:
        """Have whoever starts them know how a release wants to be run; what runs, runs on."""

    def restart(self, name: str) -> None:
        """Of what ``current`` leads to now. Raises UpgradeFailed if it cannot even be started."""

    def problem(self, name: str) -> str:
        """Waits until it serves; what keeps it from that, else nothing."""


@dataclass(frozen=True)
class Upgrade:
    """An upgrade of what ``layout`` has, to ``release``."""

    layout: Layout
    release: Path
    services: Services
    environ: Mapping[str, str]
    user: str | None = None  # as whom the releases' commands run
    say: Callable[[str], None] = print

    def run(self) -> None:
        """Raises UpgradeFailed, once all is as it was."""
        before = self.layout.current.resolve()
        self._back_up(before)
        self._migrate()
        restarted = list[str]()
        try:
            self._run_as(self.release, restarted)
        except (UpgradeFailed, OSError, subprocess.SubprocessError, KeyboardInterrupt) as error:
            why = str(error) or "interrupted"
            self.say(f"{why}; going back to {before.name}")
            if wrong := self._go_back(before, restarted):
                raise UpgradeFailed(f"{why}. Going back, {'; '.join(wrong)}") from None
            raise UpgradeFailed(
                f"{why}. {before.name} runs again; the schema stays as it is, which suits it"
            ) from None

    def _back_up(self, before: Path) -> None:
        """By the version that knows the data as they are. Without a backup nothing is touched."""
        self.say("backing up")
        with self._named("the backup failed, and nothing was changed"):
            self._ops(before, "backup")

    def _migrate(self) -> None:
        self.say("migrating")
        with self._named("migrating failed, and the schema is as it was"):
            self._ops(self.release, "migrate", "--all-or-none")

    def _run_as(self, release: Path, restarted: list[str]) -> None:
        """Restart all as a release has it: its code, by its own units. Notes whom, as it goes."""
        self.layout.switch(release)
        self.services.take_units(release)
        for name in self.services.names():
            restarted.append(name)
            self._restart(name)

    def _go_back(self, before: Path, restarted: Sequence[str]) -> list[str]:
        """Restart them as they were; what is wrong with those that do not get ready again.

        One that does not keeps none of the others at a version whose code is about to go.
        """
        self.layout.switch(before)
        self.services.take_units(before)
        wrong = []
        for name in restarted:
            try:
                self._restart(name)
            except (UpgradeFailed, OSError, subprocess.SubprocessError) as error:
                wrong.append(str(error))
        return wrong

    def _restart(self, name: str) -> None:
        self.say(f"restarting {name}")
        self.services.restart(name)
        if problem := self.services.problem(name):
            raise UpgradeFailed(f"{name}: {problem}")

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except UpgradeFailed as error:
            raise UpgradeFailed(f"{what}: {error}") from None

    def _ops(self, release: Path, *command: str) -> None:
        """Run one of a release's own commands. Raises UpgradeFailed with what it said last."""
        python = release / ".venv" / "bin" / "python"
        done = subprocess.run(
            [python, "-m", "ops", *command],
            cwd=release,
            env=dict(self.environ),
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise UpgradeFailed(said[-1])


def ready_problem(port: int, within: float = _READY_WITHIN) -> str:
    """Waits until the API at a port is ready; what it says is wrong, else nothing."""
    deadline = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=8):
                return ""
        except urllib.error.HTTPError as error:
            problem = error.read().decode(errors="replace")
        except OSError as error:
            problem = f"no answer at port {port}: {error}"
        if time.monotonic() > deadline:
            return problem
        time.sleep(0.2)


class SystemdServices:
    """What the target wants."""

    def __init__(self, layout: Layout, settled: float = _SETTLED) -> None:
        self._layout = layout
        self._wants = layout.units / f"{NAME}.target.wants"
        self._settled = settled

    def names(self) -> list[str]:
        """Workers first: what they cannot do yet waits, and no rider sees it."""
        found = sorted(link.name for link in self._wants.iterdir())
        return sorted(found, key=lambda name: "-api@" in name)

    def take_units(self, release: Path) -> None:
        """In place of those of any other release."""
        write_units(self._layout, self.names(), release)
        subprocess.run([SYSTEMCTL, "daemon-reload"], check=True)

    def restart(self, name: str) -> None:
        """As systemd does: it is stopped within its grace. Raises UpgradeFailed."""
        done = subprocess.run([SYSTEMCTL, "restart", name], capture_output=True, text=True)
        if done.returncode:
            raise UpgradeFailed(f"{name}: {done.stderr.strip() or 'systemctl failed'}")

    def problem(self, name: str) -> str:
        """An API must be ready; a worker must have run for a while without a restart."""
        if "-api@" in name:
            return ready_problem(int(name.partition("@")[2].removesuffix(".service")))
        time.sleep(self._settled)
        shown = subprocess.check_output(
            [SYSTEMCTL, "show", "--property=ActiveState,NRestarts", name], text=True
        )
        state = dict(line.partition("=")[::2] for line in shown.splitlines())
        if state == {"ActiveState": "active", "NRestarts": "0"}:
            return ""
        return f"is {state.get('ActiveState')}: see journalctl -u {name}"


def remove_old(layout: Layout, kept: int = _KEPT_RELEASES) -> None:
    """Delete all releases but the newest so many, and the one that runs."""
    for release in sorted(layout.releases.iterdir())[:-kept]:
        if release != layout.current.resolve():
            shutil.rmtree(release)


def main() -> None:
    """Upgrade what is installed on this machine to this checkout."""
    layout = layout_of(os.environ)
    if not layout.current.is_symlink():
        sys.exit(f"there is nothing in {layout.prefix} to upgrade: run `make install`")
    if os.geteuid() != 0:
        sys.exit(f"this writes to {layout.prefix}: run it as root (sudo make upgrade)")
    release = add_release(layout, datetime.now(UTC))
    try:
        Upgrade(layout, release, SystemdServices(layout), os.environ, NAME).run()
    except UpgradeFailed:
        shutil.rmtree(release)
        raise
    remove_old(layout)
    print(f"upgraded to {release.name}")


if __name__ == "__main__":
    try:
        main()
    except UpgradeFailed as error:
        sys.exit(f"failed: {error}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"failed: {error}")
