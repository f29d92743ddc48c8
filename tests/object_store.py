"""A real server that speaks S3, for tests: SeaweedFS, as its wheel brings it."""

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx2

from ops.processes import spawn, stop, wait_until
from shared.settings import Settings, read_settings
from tests.conftest import need

SECRET = "hush-hush-of-the-store"
_KEY = {"accessKey": "tracker", "secretKey": SECRET}
_GRPC = 10_000  # above the port of each server
_HIGHEST = 55_000


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a store that is empty; only who has the key may do anything."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        need("weed")
        program = Path(shutil.which("weed") or "")
    identity = {"name": "tests", "credentials": [_KEY], "actions": ["Admin", "Read", "Write"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
    url, log = f"http://127.0.0.1:{ports['s3']}", folder / "store.log"
    server = spawn(
        [
            *(str(program), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-dir={folder / 'data'}", f"-s3.config={folder / 's3.json'}", "-volume.max=100"),
            *("-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-s3.port.iceberg=0"),
            "-s3.port.lance=0",
            *(f"-{name}.port={port}" for name, port in ports.items()),
        ],
        log=log,
    )
    try:
        wait_until(lambda: _answers(url), server, log)
        yield {
            "ORIGINALS_URL": "s3://originals/of/tests",
            "ORIGINALS_ENDPOINT": url,
            "ORIGINALS_KEY_ID": _KEY["accessKey"],
            "ORIGINALS_SECRET": SECRET,
        }
    finally:
        stop(server)


def stored(settings: Settings, variables: dict[str, str]) -> Settings:
    """The same settings with originals in that store."""
    urls = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    return read_settings({**urls, **variables})


def _answers(url: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(url).status_code == 403
    return False


def _free_ports(count: int) -> list[int]:
    """Each with a free one above it, where the server listens by another protocol."""
    found: set[int] = set()
    while len(found) < count:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError):
                if port <= _HIGHEST:
                    second.bind(("127.0.0.1", port + _GRPC))
                    found.add(port)
    return sorted(found)
