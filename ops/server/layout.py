"""Where an installation without containers has its things. Standard library only, as all of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME: Final = "bike-power-tracker"
PREFIX: Final = Path("/opt/bike-power-tracker")
SYSTEMCTL: Final = "systemctl"


@dataclass(frozen=True)
class Layout:
    """Folders and files of an installation.

    ``root`` is where the machine's / is, and another folder where a package is built or a test
    looks on. What is written into files never has it in front.
    """

    root: Path = Path("/")
    prefix: Path = PREFIX

    def at(self, path: str | Path) -> Path:
        """A path of the installed machine, below the root."""
        return self.root / str(path).lstrip("/")

    @property
    def releases(self) -> Path:
        """A folder for each version that is kept: the code and what it stands on."""
        return self.at(self.prefix / "releases")

    @property
    def current(self) -> Path:
        """A link to the release that runs."""
        return self.at(self.prefix / "current")

    @property
    def environment(self) -> Path:
        """The settings, as .env has them in a checkout."""
        return self.at(f"/etc/{NAME}/environment")

    @property
    def units(self) -> Path:
        """Of systemd."""
        return self.at("/etc/systemd/system")

    @property
    def sysusers(self) -> Path:
        """Says which user the service runs as."""
        return self.at(f"/etc/sysusers.d/{NAME}.conf")

    @property
    def backups(self) -> Path:
        """What the timer writes."""
        return self.at(f"/var/backups/{NAME}")

    def switch(self, release: Path) -> None:
        """Have ``current`` lead to a release, at once."""
        fresh = self.current.with_name("current.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"releases/{release.name}")
        fresh.replace(self.current)
