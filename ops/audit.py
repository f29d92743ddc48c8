"""`make audit`: whether a package of the lock files has a vulnerability that is known.

pip-audit asks PyPI. A package of which it could learn nothing passes with it; here that is said,
and with STRICT=1 it fails.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

_ROOT: Final = Path(__file__).resolve().parents[1]
_LOCKS: Final = ("production", "embedded", "dev")
_PIP_AUDIT: Final = (
    *(sys.executable, "-m", "uv", "tool", "run", "--quiet", "pip-audit"),
    *("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"),
    *(part for name in _LOCKS for part in ("-r", f"{_ROOT}/requirements/{name}.txt")),
)


class _Vulnerability(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class _Package(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[_Vulnerability] = []
    skip_reason: str | None = None


class _Report(msgspec.Struct):
    dependencies: list[_Package]


def audit(command: Sequence[str] = _PIP_AUDIT, *, strict: bool = False) -> int:
    """Print what was found; 1 if there is anything, or with ``strict`` if not all was checked."""
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = msgspec.json.decode(done.stdout, type=_Report).dependencies
    except msgspec.DecodeError:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        print(f"could not be checked: {said[-1]}")
        return int(strict)
    found = [(package, each) for package in packages for each in package.vulns]
    for package, each in found:
        mended = f": mended in {', '.join(each.fix_versions)}" if each.fix_versions else ""
        print(f"{package.name} {package.version} has {each.id}{mended}")
    unchecked = [package.skip_reason for package in packages if package.skip_reason]
    if unchecked:
        print(f"{len(unchecked)} of {len(packages)} could not be checked: {unchecked[0]}")
    if not found and not unchecked:
        print(f"nothing is known against the {len(packages)} packages of the lock files")
    return int(bool(found) or (strict and bool(unchecked)))


if __name__ == "__main__":
    sys.exit(audit(strict=os.environ.get("STRICT") == "1"))
