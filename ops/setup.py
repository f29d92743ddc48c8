"""Makes .venv from a lock file. Standard library only: it runs before anything is installed."""

import fcntl
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
# What each set of packages contains besides itself.
INCLUDES = {"production": (), "embedded": ("production",), "dev": ("embedded", "production")}


def main(wanted: str) -> None:
    """Install the packages of ``requirements/<wanted>.txt``, unless they are there already."""
    if sys.version_info < OLDEST:
        sys.exit(f"Python {OLDEST[0]}.{OLDEST[1]} or later is needed: make PYTHON=python3.x …")
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may start together
        if not _is_installed(wanted):
            _install(wanted)


def _is_installed(wanted: str) -> bool:
    """Whether this set, or one that includes it, was installed from the present lock file."""
    sets = [name for name, included in INCLUDES.items() if wanted in (name, *included)]
    return PYTHON.exists() and any(_stamp(name).exists() for name in sets)


def _stamp(name: str) -> Path:
    digest = hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest()
    return VENV / f"{name}-{digest[:16]}"


def _install(name: str) -> None:
    _create_venv()
    print("Installing packages …", flush=True)
    # The lock names every package, so pip need not look for any itself.
    lock = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements" / f"{name}.txt")]
    if subprocess.call([*_pip(), "install", "--quiet", "--disable-pip-version-check", *lock]):
        sys.exit("the packages could not be installed")
    for other in INCLUDES:
        for stamp in VENV.glob(f"{other}-*"):
            stamp.unlink()
    _stamp(name).touch()


def _create_venv() -> None:
    """A virtual environment; anew if one was left half made."""
    complete = VENV / "complete"
    if complete.exists() and PYTHON.exists():
        return
    print("Creating .venv …", flush=True)
    # Debian keeps ensurepip apart: without it, the machine's own pip installs into .venv.
    pip = [] if find_spec("ensurepip") else ["--without-pip"]
    if subprocess.call([sys.executable, "-m", "venv", "--clear", *pip, str(VENV)]):
        sys.exit("Python's venv module is needed (on Debian: apt install python3-venv)")
    complete.touch()


def _pip() -> list[str]:
    if not subprocess.call(
        [str(PYTHON), "-m", "pip", "--version"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        return [str(PYTHON), "-m", "pip"]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    (VENV / "complete").unlink()
    sys.exit("pip is needed (on Debian: apt install python3-venv)")


if __name__ == "__main__":
    main(sys.argv[1])
