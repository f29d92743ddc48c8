"""What is checked of this machine: its settings, packages, disks, backups and certificate."""

import re
import socket
import ssl
import stat
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2
import msgspec
from dotenv import dotenv_values

from ops.monitoring.findings import Finding, Patient, in_bytes, in_words
from shared.monitoring.backups import backups_in, newest_backup
from shared.monitoring.system import backup_due, read_disk
from shared.settings import Settings

_LEAST_FREE: Final = 0.1  # of a disk
_CERTIFICATE_DUE: Final = 14 * 86_400.0  # seconds before its end
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)([^\\]*)", re.MULTILINE)
# Of `make`, of compose.yaml, and of what else reads the same file.
_OTHER_KEYS: Final = {
    *("API_URL", "N", "RIDE", "URL", "KEY", "EMAIL", "USER"),
    *("FILE", "FILES", "WATCH", "RIDES", "RIDERS"),
    *("KEEP", "HOURS", "BACKUP_RECIPIENT", "BACKUP_IDENTITY", "WAL_ARCHIVE"),
    *("COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "DOMAIN", "WORKERS", "BACKUP_KEEP", "WAL_KEEP"),
    *("REDIS_MEMORY", "POSTGRES_MEMORY", "POSTGRES_SHARED_BUFFERS", "PROMETHEUS_PORT"),
    *("POSTGRES_IMAGE", "VALKEY_IMAGE", "CADDY_IMAGE", "PROMETHEUS_IMAGE"),
    *("PYTHON_IMAGE", "DEBIAN_IMAGE"),
}


def check_settings(patient: Patient) -> Iterator[Finding]:
    """Those that go together badly, and names in .env that nothing reads."""
    settings = patient.settings
    if settings.allow_anonymous and settings.host not in _LOCAL:
        yield Finding(
            f"ALLOW_ANONYMOUS is on and HOST is {settings.host}: whoever reaches it is let in",
            "set ALLOW_ANONYMOUS=0, or HOST=127.0.0.1",
        )
    if settings.public_url.startswith("https://") and not settings.trusted_proxies:
        yield Finding(
            "PUBLIC_URL is https, and TRUSTED_PROXIES names no proxy: all clients count as one",
            "set TRUSTED_PROXIES to the address of the proxy that speaks TLS",
        )
    yield from _check_names(dotenv_values(patient.env_file).keys())


def _check_names(names: Iterable[str]) -> Iterator[Finding]:
    """Those that are nearly a setting's; any other may be somebody else's."""
    settings = {name.upper() for name in Settings.__struct_fields__}
    known = settings | {f"{name}_FILE" for name in settings} | _OTHER_KEYS
    for name in sorted(set(names) - known):
        if meant := get_close_matches(name, known, 1, 0.8):
            yield Finding(f"{name} in .env is no setting", f"did you mean {meant[0]}?")


def check_secrets(patient: Patient) -> Iterator[Finding]:
    """Whether others on this machine may read what only we should."""
    for path in (patient.env_file, patient.data_dir / "run.json", patient.data_dir / "demo-key"):
        others = _others_who_read(path.stat().st_mode, path.stat().st_uid) if path.exists() else ""
        if others:
            yield Finding(f"others on this machine may read {path}", f"chmod {others}= {path}")


def _others_who_read(mode: int, owner: int) -> str:
    """As chmod names them. The group of a file of root's is whom root lets read it."""
    if owner == 0:
        return "o" if mode & stat.S_IROTH else ""
    return "go" if mode & (stat.S_IRGRP | stat.S_IROTH) else ""


def check_packages(patient: Patient) -> Iterator[Finding]:
    """Whether what is installed is what the lock file says."""
    if not patient.lock_file.exists():
        return
    pins = _PIN.findall(patient.lock_file.read_text())
    wrong = [
        f"{name} {have or 'is missing'} (not {pinned})"
        for name, pinned, marker in pins
        if not marker.strip() and (have := _installed(name)) != pinned
    ]
    if wrong:
        yield Finding(f"packages differ from the lock file: {', '.join(wrong)}", "make setup")


def check_disks(patient: Patient) -> Iterator[Finding]:
    """Room for what is written here."""
    folders = {str(patient.data_dir): "data", patient.settings.backup_dir: "backups"}
    for folder, what in folders.items():
        disk = read_disk(folder)
        if disk.free < _LEAST_FREE * disk.size:
            yield Finding(
                f"the disk of {folder} ({what}) is nearly full: {in_bytes(disk.free)} of"
                f" {in_bytes(disk.size)} are free",
                "make room or enlarge it: PostgreSQL and Redis stop writing on a full disk",
            )


def check_backups(patient: Patient, in_use_for: float) -> Iterator[Finding]:
    """One in time, finished. ``in_use_for``: seconds since there was something to back up."""
    folder = Path(patient.settings.backup_dir)
    found, newest = backups_in(folder), newest_backup(folder)
    if found and not max(found, key=lambda each: each.made_at).has_checksum:
        yield Finding(
            f"the newest backup in {folder} was not finished: it has no .sha256",
            "look why, then make backup",
        )
    age = patient.clock() - newest.made_at if newest else in_use_for
    if age > backup_due(patient.settings):
        since = f"the newest is {in_words(age)} old" if newest else "there is none"
        every = in_words(patient.settings.backup_hours * 3600)
        yield Finding(f"no backup of the last {every} in {folder}: {since}", "make backup")


def check_certificate(patient: Patient) -> Iterator[Finding]:
    """That of the proxy, where clients come by TLS."""
    url = urlsplit(patient.settings.public_url)
    if url.scheme != "https" or url.hostname is None:
        return
    if url.netloc == "localhost":  # the stack without DOMAIN: its proxy signs that itself
        return
    where = f"{url.hostname}:{url.port or 443}"
    try:
        left = _certificate_end(url.hostname, url.port or 443) - patient.clock()
    except ssl.SSLCertVerificationError as error:
        yield Finding(
            f"the certificate of {url.hostname} is not valid: {error.verify_message}", _RENEW
        )
    except OSError as error:
        yield Finding(
            f"nobody speaks TLS at {where}, where PUBLIC_URL sends clients: {error}",
            "start the proxy, or set PUBLIC_URL to where it is",
        )
    else:
        if left < _CERTIFICATE_DUE:
            yield Finding(f"the certificate of {url.hostname} ends in {in_words(left)}", _RENEW)


_RENEW: Final = "have the proxy renew it: does it reach its authority, and is port 80 or 443 open?"


def check_api(patient: Patient) -> Iterator[Finding]:
    """Whether the API answers, and what it says of itself."""
    url = api_url(patient)
    try:
        answer = httpx2.get(f"{url}/health/ready", timeout=10)
        problems = msgspec.json.decode(answer.content)["problems"]
    except (httpx2.HTTPError, msgspec.DecodeError, KeyError, TypeError) as error:
        yield Finding(f"no API answers at {url}: {error}", "start it, or say API_URL=…")
        return
    if answer.status_code != 200:
        yield Finding(f"the API at {url} is not ready: {'; '.join(problems)}", "mend what it says")


def api_url(patient: Patient) -> str:
    """What API_URL says, else that of `make run`, else where the settings have it listen."""
    if named := patient.environ.get("API_URL"):
        return named.rstrip("/")
    try:
        url: str = msgspec.json.decode((patient.data_dir / "run.json").read_bytes())["url"]
    except (OSError, msgspec.DecodeError, KeyError):
        host = patient.settings.host
        reached = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - it is where we look
        return f"http://{reached}:{patient.settings.port}"
    return url


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _certificate_end(host: str, port: int) -> float:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        certificate = secured.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
