"""Where `make run` serves the figures of its processes: the usual port, or a free one."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

USUAL_PORT: Final = 9464


def metrics_settings(environ: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """The settings by which API and workers share one port; the counters begin at nought."""
    folder = data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    host = environ.get("METRICS_HOST") or "127.0.0.1"
    return {
        "METRICS_HOST": host,
        "METRICS_PORT": environ.get("METRICS_PORT") or str(_free_port(host)),
        "METRICS_DIR": str(folder),
        "DATA_DIR": str(data_dir),
        "BACKUP_DIR": environ.get("BACKUP_DIR") or str(data_dir / "backups"),
    }


def metrics_url(settings: Mapping[str, str]) -> str | None:
    """Where this machine finds them; None if they are served nowhere."""
    if settings["METRICS_PORT"] == "0":
        return None
    host = settings["METRICS_HOST"]
    reached = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - it is where we look
    return f"http://{reached}:{settings['METRICS_PORT']}/metrics"


def _free_port(host: str) -> int:
    for candidate in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    return USUAL_PORT
