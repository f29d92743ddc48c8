"""`make run`: everything from an empty folder to a ride with its figures, then serve."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.demo.front_ride import FRONT_RIDE, share_simulated
from ops.demo.metrics import metrics_settings, metrics_url
from ops.demo.report import show
from ops.demo.requests import ask, attempt, open_client
from ops.demo.ride_file import Imported, read_efforts, read_file, send_file
from ops.demo.ride_player import is_played, play_ride, read_ride, to_lines
from ops.demo.ride_simulator import SECONDS, simulate_ride
from ops.embedded.servers import servers
from ops.private_files import InUse, locked, write_private
from ops.processes import ProcessFailed, Supervisor, spawn, stop_on_signals, wait_until
from ops.variables import NO_RIDE
from shared.settings import read_settings

DEFAULT_PORT: Final = 8000
WORKERS: Final = 2
DEMO_EMAIL: Final = "demo@example.com"
_THRESHOLDS: Final = {"effectiveFrom": "2000-01-01", "ftp": 240, "thresholdHeartrate": 165}
_MARKER: Final = "demo-ride"  # in the data folder: the workout of the simulated ride
_ROOT: Final = Path(__file__).resolve().parents[2]
Player = Callable[[Console, str, str], Imported]  # … the API's address, the user's key


def run(
    environ: Mapping[str, str],
    data_dir: Path,
    *,
    port: int | None,
    ride: Path | None,
    forever: bool,
) -> None:
    """Start everything, play a ride and show its figures; then serve, if ``forever``."""
    stop_on_signals()
    console = Console(highlight=False)
    # A wrong setting, and a ride that is none, stop us before anything is started.
    read_settings({**environ, "DATABASE_URL": "postgresql://later", "REDIS_URL": "redis://later"})
    play = _player(ride, data_dir / _MARKER)
    with ExitStack() as stack:
        console.print("Starting PostgreSQL and Redis …")
        urls = stack.enter_context(servers(environ, data_dir, console.print))
        run_file = stack.enter_context(_run_file(data_dir, required=forever))
        applied = migrations.apply(urls["DATABASE_URL"])
        console.print(f"Applying migrations … {len(applied)} applied")
        console.print(f"Starting the API and {WORKERS} workers …")
        figures = metrics_settings(environ, data_dir) if run_file else {}
        settings = {**urls, **figures, "FRONT_RIDE_FILE": str(data_dir / FRONT_RIDE)}
        url, supervisor = stack.enter_context(start_service(settings, data_dir, port))
        stack.callback(console.print, "Stopping …")
        api_key = _demo_key(urls["DATABASE_URL"], data_dir, url)
        played = play(console, url, api_key)
        show(console, played, read_efforts(url, api_key, played.workouts))
        link = share_simulated(url, api_key, data_dir / _MARKER, data_dir / FRONT_RIDE)
        _say_how_to_go_on(console, url, api_key, link)
        if run_file:
            found = {"url": url, "apiKey": api_key, "metricsUrl": metrics_url(figures)}
            write_private(run_file, json.dumps({k: v for k, v in found.items() if v}))
        if forever:
            console.print(f"Logs  {data_dir / 'logs'}\nServing until Ctrl-C.", soft_wrap=True)
            supervisor.watch(console.print)


def _say_how_to_go_on(console: Console, url: str, api_key: str, link: str | None) -> None:
    console.print(f"\nOpen  {url}   in a browser", soft_wrap=True)
    console.print("      Make an account: an email and a password, and nothing is sent.")
    console.print("      Drop a FIT file on the page: it opens with its charts.")
    if link:
        console.print(f"Look  {url}{link}   at the simulated ride first", soft_wrap=True)
    console.print(f"API   {url}/docs", soft_wrap=True)
    console.print(f"Key   {api_key}   signs in as {DEMO_EMAIL}, on the page too", soft_wrap=True)


@contextmanager
def _run_file(data_dir: Path, *, required: bool) -> Iterator[Path | None]:
    """Where to tell others how to reach us; None if another run of this checkout does so."""
    path = data_dir / "run.json"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(data_dir / "run.lock"))
        except InUse:
            if required:
                raise ProcessFailed(f"already running; see {path}") from None
            yield None
            return
        path.unlink(missing_ok=True)
        stack.callback(path.unlink, missing_ok=True)
        yield path


@contextmanager
def start_service(
    environ: Mapping[str, str], data_dir: Path, port: int | None
) -> Iterator[tuple[str, Supervisor]]:
    """The API and workers; yields its address. The API's socket is bound here and kept, so that
    nobody else can take the port, and a request that comes while it restarts waits."""
    logs = data_dir / "logs"
    environ = {**environ, "PYTHONPATH": str(_ROOT)}
    with _bind(environ.get("HOST") or "127.0.0.1", port) as listener, Supervisor() as supervisor:
        fd = listener.fileno()
        url = _address(listener)
        # Links begin with it. Without TLS it is an address of this machine; pages use their own.
        environ = {"PUBLIC_URL": f"http://127.0.0.1:{listener.getsockname()[1]}", **environ}
        log = _fresh(logs / "api.log")
        api = supervisor.start(
            lambda: spawn(
                [sys.executable, "-m", "api"],
                log=log,
                environ={**environ, "LISTEN_FD": str(fd)},
                pass_fds=[fd],
            ),
            log=log,
        )
        wait_until(lambda: _is_ready(url), api, log)
        for number in range(1, WORKERS + 1):
            worker_log = _fresh(logs / f"worker-{number}.log")
            command = [sys.executable, "-m", "worker"]
            supervisor.start(
                partial(spawn, command, log=worker_log, environ=environ), log=worker_log
            )
        yield url, supervisor


def _fresh(log: Path) -> Path:
    log.unlink(missing_ok=True)
    return log


def _address(listener: socket.socket) -> str:
    """How this machine reaches the socket, which may listen on every address."""
    host, port = listener.getsockname()
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104


def _bind(host: str, port: int | None) -> socket.socket:
    """The port asked for; without one the usual port, or a free one where that is taken."""
    for candidate in [DEFAULT_PORT, 0] if port is None else [port]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen()  # until then another process could bind to it too
        except OSError as error:
            listener.close()
            failure = error
        else:
            return listener
    raise ProcessFailed(f"cannot listen on {host}:{port}: {failure.strerror}")


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=5).is_success
    except httpx2.TransportError:
        return False


def _demo_key(database_url: str, data_dir: Path, url: str) -> str:
    """The key of the run before, if it still opens; else a new one."""
    path = data_dir / "demo-key"
    if path.exists():
        known = path.read_text()
        answer = httpx2.get(f"{url}/api/workouts", headers={"X-API-Key": known}, timeout=10)
        if answer.is_success:
            return known
    account = create_account(database_url, DEMO_EMAIL, "make run")
    if account.is_new:
        _give_thresholds(url, account.api_key)
    write_private(path, account.api_key)
    (data_dir / _MARKER).unlink(missing_ok=True)
    return account.api_key


def _give_thresholds(url: str, api_key: str) -> None:
    """Without an FTP, a ride would have no zones and no training stress."""
    with open_client(url, api_key) as client:
        ask(client, "PUT", "/api/users/me/thresholds", json=_THRESHOLDS)


def _player(path: Path | None, marker: Path) -> Player:
    """What plays the ride that is asked for. Raises RideRefused for a file that holds none."""
    if path == NO_RIDE:
        return lambda *_: Imported([], [])
    if path is None:
        return partial(_play_simulated, marker)
    if is_played(path):
        return partial(_play, read_ride(path), path.name)
    return partial(_send, read_file(path), path.name)


def _play_simulated(marker: Path, console: Console, url: str, api_key: str) -> Imported:
    """Play it once for each demo user; from then on, show it. ``marker`` names its workout."""
    if marker.exists():
        return _find_simulated(marker.read_text(), url, api_key)
    start = int(time.time()) - SECONDS
    lines = to_lines(simulate_ride(start * 1000))
    played = _play(lines, "Simulated ride", console, url, api_key)
    write_private(marker, played.workouts[0]["id"])
    return played


def _find_simulated(workout_id: str, url: str, api_key: str) -> Imported:
    another = "make run RIDE=ride.fit plays another"
    with open_client(url, api_key) as client:
        answer = attempt(client, "GET", f"/api/workouts/{workout_id}")
    if not answer.is_success:
        return Imported([], [f"The simulated ride was played before, and is deleted; {another}."])
    address = f"{url}/api/workouts/{workout_id}"
    return Imported(
        [answer.json()["workout"]], [f"The simulated ride was played before: {address}; {another}."]
    )


def _play(lines: Sequence[bytes], title: str, console: Console, url: str, api_key: str) -> Imported:
    columns = (
        TextColumn("Playing {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=len(lines))
        workout = play_ride(url, api_key, lines, title, lambda count: progress.advance(task, count))
    return Imported([workout], [])


def _send(data: bytes, name: str, console: Console, url: str, api_key: str) -> Imported:
    console.print(f"Sending {name} …")
    return send_file(url, api_key, data, name)
