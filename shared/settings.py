"""The settings: one frozen object, read from the environment once per process."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from shared.addresses import CHECKS
from shared.allowed import allowed
from shared.errors import InvalidSettings
from shared.openid import OpenIdProvider, is_secure

Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]
Hours = Annotated[float, Meta(ge=0)]
# ``365d``; empty for ever. Not less than a month: a device may have been without a network as long.
Lifetime = Annotated[str, Meta(pattern=r"^([3-9]\d|[1-9]\d{2,4})d$|^$")]

# ``20gb`` or ``500mb``, as Redis counts them; empty is no limit.
Size = Annotated[str, Meta(pattern=r"^([1-9]\d{0,8}[mg]b)?$")]
# Seconds: as long as that is noted of each user who has written, see WROTE_FOR.
_MOST_LAG: Final = 10
_BYTES: Final = {"mb": 1024**2, "gb": 1024**3}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default. The environment key is the name in upper case."""

    database_url: str
    redis_url: str
    # A streaming replica that is read from while what it shows is so many seconds old at most.
    database_read_url: str = ""
    read_lag_limit: Seconds = 5
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    # An inherited, already bound socket to serve on instead of HOST and PORT; -1 for none.
    listen_fd: int = -1
    # Origins of web pages that may use the API, and who may say where a request came from.
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # Lines for people, or a JSON object a line for what collects logs.
    log_format: Literal["text", "json"] = "text"
    # A line in the log of the API for each request, at the level info.
    access_log: bool = False
    # Where figures for Prometheus are served; port 0 for none. Processes of one machine that share
    # a folder for them serve those of all, at one port.
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    metrics_dir: str = ""
    # Whose free space is watched, and where backups are looked for.
    data_dir: str = ".data"
    backup_dir: str = ".data/backups"
    # From one backup to the next; one that is two hours late is missed. 0 where none can be seen.
    backup_hours: Hours = 24.0
    # What one user may upload, by all keys together; at least a batch.
    max_samples_per_minute: Positive = 300_000
    # Of one ride: a day of 4 Hz is 345,600.
    max_ride_samples: Positive = 1_000_000
    # What may wait of one user in Redis to be archived: well below its maxmemory.
    max_waiting_bytes: Positive = 64 * 1024 * 1024
    # Rides of one user: ACTIVE or PAUSED at a time, made in an hour, and in all.
    max_active_rides: Positive = 1_000
    max_rides_per_hour: Positive = 3_000
    max_rides: Positive = 100_000
    # Of the Redis that `make run` or compose.yaml starts; 0 is no limit.
    redis_maxmemory: Annotated[str, Meta(pattern=r"^\d+([kmg]b?)?$")] = "1gb"
    database_pool_size: Positive = 10
    max_body_bytes: Positive = 5 * 1024 * 1024
    max_batch_samples: Positive = 65_536
    # Bodies held by one API process at a time; beyond it the answer is 503.
    max_held_bytes: Positive = 256 * 1024 * 1024
    # The same of answers that are being sent; a user has a quarter of it.
    max_held_answer_bytes: Positive = 128 * 1024 * 1024
    # Uploads waiting for Redis in one API process; beyond it the answer is 503.
    max_pending_bytes: Positive = 64 * 1024 * 1024
    # Whether uploads that are right in every way are stored and answered before an ASGI cycle.
    fast_lane: bool = True
    # Files: of one upload; held by one API process at a time (a user has a quarter of it); kept of
    # one user, and how many.
    max_file_bytes: Positive = 50 * 1024 * 1024
    max_held_file_bytes: Positive = 256 * 1024 * 1024
    max_kept_file_bytes: Positive = 20 * 1024 * 1024 * 1024
    max_kept_files: Positive = 100_000
    # Where originals are kept: in PostgreSQL, or below s3://bucket/prefix in a store that speaks
    # S3, at an endpoint or AWS's of the region. Without a key, as AWS's own tools find one.
    originals_url: str = ""
    originals_endpoint: str = ""
    originals_region: str = "us-east-1"
    originals_key_id: str = ""
    originals_secret: str = ""
    # What a worker may take to read one file: seconds of CPU, and bytes of memory.
    max_import_seconds: Positive = 30
    max_import_bytes: Positive = 2048 * 1024 * 1024  # a million decoded records of FIT
    # Seconds of the clock after which a file is slow: of those, all workers read one at a time.
    slow_import_seconds: Positive = 5
    # WebSockets open in one API process: of a key, of a user's keys together, of everybody.
    max_sockets_per_key: Positive = 5
    max_sockets_per_user: Positive = 20
    max_sockets: Positive = 1000
    # Live streams open in one API process: by a key or a share, of one rider's rides, of everybody.
    max_viewers_per_key: Positive = 50
    max_viewers_per_user: Positive = 500
    max_viewers: Positive = 4000
    # Named streams of one user, the messages of each and the bytes of all together, and the seconds
    # after its last message for which a stream is kept.
    max_streams: Positive = 1_000
    max_stream_messages: Positive = 10_000
    max_stream_bytes: Positive = 64 * 1024 * 1024
    stream_retention: Seconds = 86_400
    # Whether requests without a key act as one local user: for a private bench or a home network.
    allow_anonymous: bool = False
    # Who may make an account: anybody, whoever has a code from `make invite`, or nobody.
    registration: Literal["open", "invite", "closed"] = "open"
    # How long after logging in one has to log in again.
    session_lifetime: Seconds = 30 * 86_400
    # From one address; an app's own server that passes its riders' logins on needs more.
    max_logins_per_hour: Positive = 240
    max_registrations_per_hour: Positive = 30
    # Where clients reach the API from outside: OpenID providers send riders back there.
    public_url: str = "http://127.0.0.1:8000"
    # By whom riders may sign in, as JSON: see OpenIdProvider.
    oidc_providers: tuple[OpenIdProvider, ...] = ()
    # A file with the path of a link, /shared/…, that strangers are invited to look at.
    front_ride_file: str = ""
    # Tiles drawn under tracks, by {z}, {x} and {y}, and whom the map is by; without, no map at all.
    map_tiles_url: str = ""
    map_tiles_attribution: str = "© OpenStreetMap contributors"
    # For the head of a request to arrive, and its body; for a piece of a long answer to be taken.
    body_timeout: Seconds = 30
    # Longest wait of the API for one answer of PostgreSQL or Redis.
    service_timeout: Seconds = 5
    shutdown_grace: Positive = 20
    # An API process whose event loop, or a worker whose event, stands still for so long ends
    # itself: whoever started it starts another.
    stuck_after: Seconds = 60
    max_job_seconds: Seconds = 3600
    # Whether webhooks may be at addresses of private networks, and be told without TLS.
    webhook_allow_private: bool = False
    # For an attempt to deliver to a webhook, from the look at its name to the end of its answer.
    webhook_timeout: Seconds = 10
    # How long a worker may hold an event before another one takes it over.
    lease: Seconds = 60
    # How long the workers pause when most jobs fail, before they try another one.
    breaker_pause: Seconds = 30
    checkpoint_interval: Seconds = 600
    sweep_interval: Seconds = 10
    # A ride silent for this long is completed.
    idle_timeout: Seconds = 6 * 3600
    # A deleted workout is purged after this long.
    deleted_retention: Seconds = 30 * 86_400
    # After which originals are deleted, and the samples of a ride that is over: its figures stay.
    retention_originals: Lifetime = ""
    retention_samples: Lifetime = ""
    # Of a user's originals and samples, beyond which no file is taken.
    storage_quota: Size = ""


def days_of(lifetime: str) -> int | None:
    """The days of a ``Lifetime``; None for ever."""
    return int(lifetime.rstrip("d")) if lifetime else None


def bytes_of(size: str) -> int | None:
    """The bytes of a ``Size``; None without a limit."""
    return int(size[:-2]) * _BYTES[size[-2:]] if size else None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment such as ``os.environ``.

    An empty value counts as unset. Raises InvalidSettings, naming the key.
    """
    environ = with_files(environ)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        key = field.name.upper()
        text = environ.get(key, "")
        if text:
            values[field.name] = _convert(key, text, field.type)
            require_sound(key, values[field.name])
        elif field.required:
            raise InvalidSettings(f"{key} is not set")
    settings = Settings(**values)
    if settings.max_samples_per_minute < settings.max_batch_samples:
        raise InvalidSettings("MAX_SAMPLES_PER_MINUTE is less than MAX_BATCH_SAMPLES")
    if "*" in settings.cors_origins and len(settings.cors_origins) > 1:
        raise InvalidSettings("CORS_ORIGINS has other origins beside *, which stands for all")
    if settings.read_lag_limit > _MOST_LAG:
        raise InvalidSettings(f"READ_LAG_LIMIT is more than {_MOST_LAG} seconds")
    _check_originals(settings)
    _check_sign_in(settings)
    return settings


def with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the content of the file that ``KEY_FILE`` names as ``KEY``.

    A secret need so be in no environment, which others may list. Raises InvalidSettings.
    """
    complete = dict(environ)
    for key in (field.name.upper() for field in msgspec.structs.fields(Settings)):
        if file := complete.pop(f"{key}_FILE", ""):
            if complete.get(key):
                raise InvalidSettings(f"of {key} and {key}_FILE both are set")
            complete[key] = _content_of(key, file)
    return complete


def _content_of(key: str, file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise InvalidSettings(f"{key}_FILE={file!r} cannot be read: {reason}") from None


def require_sound(key: str, value: str | tuple[str, ...]) -> None:
    """Raises InvalidSettings. It names the wrong entry of a list; a URL it never shows."""
    check = CHECKS.get(key)
    for entry in value if isinstance(value, tuple) else (value,):
        try:
            if check:
                check(entry)
        except ValueError as error:
            shown = f": {entry!r}" if isinstance(value, tuple) else ""
            raise InvalidSettings(f"{key}{shown} {error}") from None


def _check_originals(settings: Settings) -> None:
    if settings.originals_url and find_spec("obstore") is None:
        raise InvalidSettings("ORIGINALS_URL needs the package obstore: install the extra `s3`")
    if bool(settings.originals_key_id) != bool(settings.originals_secret):
        raise InvalidSettings("of ORIGINALS_KEY_ID and ORIGINALS_SECRET one alone is set")


def _check_sign_in(settings: Settings) -> None:
    if not is_secure(settings.public_url) or "?" in settings.public_url:
        raise InvalidSettings("PUBLIC_URL must be an https address, or one of this machine")
    names = [provider.name for provider in settings.oidc_providers]
    if len(set(names)) < len(names):
        raise InvalidSettings("OIDC_PROVIDERS has two of one name")


def _convert(key: str, text: str, kind: Any) -> Any:
    if key == "OIDC_PROVIDERS":  # its text, which has secrets, is never shown
        return _decode(key, text, kind)
    if kind == tuple[str, ...]:
        return tuple(entry.strip() for entry in text.split(",") if entry.strip())
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise InvalidSettings(f"{key} must be {allowed(kind)}, not {text!r}") from None


def _decode(key: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidSettings(f"{key} is wrong: {error}") from None
