"""`make import` from its options to its exit code."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ops.admin.import_keys import make_import_key
from ops.embedded.servers import servers
from ops.importing.client import ImportClient
from ops.importing.run import INTERRUPTED, run
from ops.importing.service import own_service
from ops.importing.sources import paths_of
from ops.importing.watching import watch
from ops.processes import ProcessFailed


@dataclass(frozen=True)
class Wanted:
    """``files``: names and patterns; ``watched``: a folder; ``email``: whose rides they are."""

    files: str | None
    watched: Path | None
    email: str | None


def import_files(wanted: Wanted, environ: Mapping[str, str], data_dir: Path) -> int:
    """Import, and say what has become of it; the exit code. Raises ProcessFailed."""
    paths = paths_of(wanted.files) if wanted.files else []
    if wanted.files and not paths:
        raise ProcessFailed(f"there is no file {wanted.files}")
    console = Console(highlight=False)
    for how in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C
        signal.signal(how, signal.default_int_handler)
    try:
        with _client(wanted.email, environ, data_dir) as client:
            code = run(client, paths, console) if paths else 0
            if wanted.watched and code == 0:
                _watch(client, wanted.watched, console)
    except KeyboardInterrupt:  # while servers start or end
        console.print("Interrupted.")
        return INTERRUPTED
    return code


@contextmanager
def _client(
    email: str | None, environ: Mapping[str, str], data_dir: Path
) -> Iterator[ImportClient]:
    """By the API that IMPORT_URL names with IMPORT_KEY, as that of a stack; else by one of ours."""
    if environ.get("IMPORT_URL"):
        with _opened(environ["IMPORT_URL"], environ["IMPORT_KEY"]) as client:
            yield client
        return
    is_embedded = not environ.get("DATABASE_URL")
    with servers(environ, data_dir) as urls:
        api_key = make_import_key(urls["DATABASE_URL"], email)
        service = own_service(urls, data_dir, may_start_workers=is_embedded)
        with service as url, _opened(url, api_key) as client:
            yield client


@contextmanager
def _opened(url: str, api_key: str) -> Iterator[ImportClient]:
    client = ImportClient(url, api_key, os.environ.get("LANG", "en")[:2])
    try:
        yield client
    finally:
        client.close()


def _watch(client: ImportClient, folder: Path, console: Console) -> None:
    if not folder.is_dir():
        raise ProcessFailed(f"there is no folder {folder}")
    console.print(f"Watching {folder} until Ctrl-C …", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        watch(folder, lambda paths: _take(client, paths, console))


def _take(client: ImportClient, paths: list[Path], console: Console) -> None:
    if run(client, paths, console) == INTERRUPTED:
        raise KeyboardInterrupt
