"""What compose.yaml needs beside itself: secrets in files, and images by their digests.

Standard library only: on the host of a stack nothing is installed.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ops.private_files import make_private

FOLDER: Final = Path("secrets")
# Which variable of .env names an image, and what compose.yaml says without it.
IMAGES: Final = {
    "POSTGRES_IMAGE": "postgres:18",
    "VALKEY_IMAGE": "valkey/valkey:9",
    "CADDY_IMAGE": "caddy:2",
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.5.0",
    "PYTHON_IMAGE": "python:3.13-slim",
    "DEBIAN_IMAGE": "debian:trixie-slim",
}
# What the Dockerfile makes.
_OURS: Final = ("bike-power-tracker", "bike-power-tracker-ops", "bike-power-tracker-pgbouncer")
# Workers first: what they cannot do yet waits, and no rider sees it.
_IN_TURN: Final = ("worker", "api")
_MIGRATE: Final = ("python", "-m", "ops", "migrate", "--all-or-none")
_DERIVED: Final[dict[str, str]] = {
    "database_url": "postgresql://tracker:{database}@pgbouncer:6432/tracker",
    "direct_database_url": "postgresql://tracker:{database}@postgres:5432/tracker",
    "redis_url": "redis://:{redis}@redis:6379/0",
    "redis.conf": "requirepass {redis}",
    "pgbouncer_users": '"tracker" "{database}"',
}


def make_secrets(folder: Path = FOLDER) -> list[str]:
    """Write the secrets that are missing; their names. None that is there is changed.

    Nobody else may enter the folder. The files are everybody's to read, as each container has a
    user of its own and sees the owner and the mode that they have here.
    """
    make_private(folder)
    database, database_is_new = _password(folder / "database_password")
    redis, redis_is_new = _password(folder / "redis_password")
    made = ["database_password"] * database_is_new + ["redis_password"] * redis_is_new
    for name, text in _DERIVED.items():
        if not (folder / name).exists():
            _write(folder / name, text.format(database=database, redis=redis))
            made.append(name)
    return made


def _password(file: Path) -> tuple[str, bool]:
    """What the file has, else a new one of hexadecimal digits, which no URL has to quote."""
    if file.exists():
        return file.read_text().strip(), False
    password = secrets.token_hex(24)
    _write(file, password)
    return password, True


def _write(file: Path, text: str) -> None:
    """Whole or not at all: half of a password would be kept for ever."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text + "\n")
    fresh.chmod(0o444)
    fresh.rename(file)


def open_to_others(paths: Sequence[Path]) -> list[Path]:
    """Those that others on this machine may enter or read."""
    return [path for path in paths if path.exists() and path.stat().st_mode & 0o077]


def pin(environment: Path, digest_of: Callable[[str], str]) -> list[str]:
    """Name the images by digest in ``.env``, in place of what it had; the lines written."""
    lines = [f"{name}={digest_of(image)}" for name, image in IMAGES.items()]
    kept = environment.read_text() if environment.exists() else ""
    for name in IMAGES:
        kept = re.sub(rf"(?m)^{name}=.*\n?", "", kept)
    gap = "\n" if kept and not kept.endswith("\n") else ""
    environment.write_text(kept + gap + "\n".join(lines) + "\n")
    return lines


def _digest_of(image: str) -> str:
    """Of the image that the tag leads to now, which is pulled."""
    docker = os.environ.get("DOCKER") or "docker"
    subprocess.run([docker, "pull", "--quiet", image], check=True, stdout=subprocess.DEVNULL)
    form = "{{index .RepoDigests 0}}"
    asked = [docker, "image", "inspect", "--format", form, image]
    return subprocess.check_output(asked, text=True).strip()


def upgrade() -> None:
    """Bring the stack that is up to this checkout: the new images, the schema, one after the other.

    If that fails, the images of before run again. The schema stays: migrations suit them.
    """
    for image in _OURS:
        _docker("tag", image, f"{image}:before")
    try:
        _compose("build")
        _compose("run", "--rm", "--no-deps", "migrate", *_MIGRATE)
        for service in _IN_TURN:
            _compose("up", "--detach", "--wait", "--no-deps", "--no-build", service)
        _compose("up", "--detach", "--wait", "--no-build")
    except subprocess.CalledProcessError:
        print("failed; going back to the version before")
        for image in _OURS:
            _docker("tag", f"{image}:before", image)
        _compose("up", "--detach", "--wait", "--no-build")
        raise


def _docker(*arguments: str) -> None:
    subprocess.run([os.environ.get("DOCKER") or "docker", *arguments], check=True)


def _compose(*arguments: str) -> None:
    command = (os.environ.get("COMPOSE") or "docker compose").split()
    subprocess.run([*command, *arguments], check=True)


def main(command: str) -> None:
    """``secrets``, ``check``, ``pin`` or ``upgrade``."""
    match command:
        case "secrets":
            for name in make_secrets():
                print(f"wrote secrets/{name}")
        case "check":
            _check()
        case "pin":
            print("\n".join(pin(Path(".env"), _digest_of)))
        case "upgrade":
            upgrade()
        case _:
            sys.exit(f"no such command: {command}")


def _check() -> None:
    """For `make doctor`, whose container does not see them."""
    found = open_to_others([FOLDER, Path(".env")])
    for path in found:
        print(f"WRONG  secrets: others on this machine may read {path}")
        print(f"       → chmod go= {path}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"failed: {error}")
