"""Makes .venv from a lock file. Standard library only: it runs before anything is installed."""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / ".venv.lock"
PYTHON = str(VENV / "bin" / "python")
GENERATORS = ROOT / "tests" / "clients"
STAMP = VENV / "installed"  # the Python and the lock file that .venv was made from
OLDEST = (3, 11)
SETS = ("embedded", "dev")  # each contains those before it
ADVICE = "It takes a network, and Python's venv module (on Debian: apt install python3-venv)."

LINKED = "remove the link, or say PYTHON=true to use it as it is."


def main(wanted: str) -> None:
    """Install the packages of ``requirements/<wanted>.txt``, unless they are there already."""
    if sys.version_info < OLDEST:
        sys.exit("Python 3.11 or later is needed: make PYTHON=python3.x …")
    with os.fdopen(os.open(LOCK, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        os.fchmod(lock.fileno(), 0o600)  # whoever may open it may hold it
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may start together
        stamp, python = STAMP.read_text() if STAMP.exists() else "", _version()
        if stamp not in [python + _lock_file(name) for name in SETS[SETS.index(wanted) :]]:
            if VENV.is_symlink():  # to empty it, or to install into it, would reach through
                sys.exit(f".venv is a link to {VENV.readlink()}, which does not fit: {LINKED}")
            _install(wanted, anew=not stamp.startswith(python))
        if wanted == "dev":
            _install_generators()


def _version() -> str:
    """The version of .venv's Python; "none" if it does not start."""
    try:
        command = [PYTHON, "-c", "import sys; print(sys.version_info[:2])"]
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _lock_file(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def _install(name: str, *, anew: bool) -> None:
    """An interrupted install writes no stamp, so the next run repeats it."""
    STAMP.unlink(missing_ok=True)
    if anew:
        print("Creating .venv …", flush=True)
        # Debian keeps ensurepip apart: without it, the machine's own pip installs into .venv.
        pip = [] if find_spec("ensurepip") else ["--without-pip"]
        _run(sys.executable, "-m", "venv", "--clear", *pip, str(VENV))
    print("Installing packages …", flush=True)
    has_pip = any(VENV.glob("lib/*/site-packages/pip"))
    pip = [PYTHON, "-m", "pip"] if has_pip else [sys.executable, "-m", "pip", "--python", PYTHON]
    # The lock names every package, so pip need not look for any itself.
    what = ["--no-deps", "--require-hashes", "-r", f"{ROOT}/requirements/{name}.txt"]
    _run(*pip, "install", "--quiet", "--disable-pip-version-check", "--retries", "2", *what)
    STAMP.write_text(_version() + _lock_file(name))


def _install_generators() -> None:
    """What makes clients in TypeScript, for tests/clients; without npm those tests say so."""
    lock, installed = GENERATORS / "package-lock.json", GENERATORS / "node_modules" / "installed"
    npm = shutil.which("npm")
    if npm and lock.exists() and not (installed.exists() and _same(lock, installed)):
        print("Installing generators of TypeScript …", flush=True)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund"]
        _run(npm, "ci", *quiet, "--prefix", str(GENERATORS))
        shutil.copy(lock, installed)


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = done.stdout.splitlines() or ["nothing said"]
        error = [line for line in said if line.startswith("ERROR: ")] or said
        sys.exit(f"cannot set up .venv: {error[-1]}. {ADVICE}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, KeyboardInterrupt) as stopped:
        sys.exit(f"cannot set up .venv: {stopped or 'interrupted'}")
