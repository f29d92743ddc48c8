"""A FIT file from its POST to its workout, COMPLETED with its figures: beside its decoder alone."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import httpx2
import pyfitparsernative

from bench.figures import Figure, Run, most, series
from bench.meters import Meter, cpu_of, spent
from bench.rides import ride
from bench.system import Options, System
from shared.files.fit_writer import write_fit
from shared.files.recording import Recording

_RECORDS: Final = 10_000
_TIMES: Final = 2.0  # of the decoder alone
_DECODER: Final = "its decoder alone"


def measure(system: System, options: Options) -> Iterator[Figure]:
    """One file after the other, in turns with its decoder; the first is left out."""
    headers = {"X-API-Key": system.account.api_key, "Content-Type": "application/octet-stream"}
    with (
        system.serving("api") as api,
        system.workers(1) as workers,
        httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        cpu = cpu_of(*workers)  # its reading process included
        runs = [_import(client, cpu, fit_file(day)) for day in range(options.rides + 1)][1:]
    for name, ours, alone in (
        ("worker CPU", "CPU", "decoder CPU"),
        ("POST → COMPLETED", "wall", "decoder wall"),
    ):
        yield Figure(
            f"FIT of {_RECORDS:,} records, {name}",
            "ms",
            series(runs, ours),
            _DECODER,
            series(runs, alone),
            target=most(_TIMES, "limit"),
        )


def fit_file(day: int) -> bytes:
    """A ride of nine channels, so many days after the first."""
    return write_fit(Recording(ride(3, day).select(slice(_RECORDS))))


def _import(client: httpx2.Client, cpu: Meter, file: bytes) -> Run:
    """What a file costs, in ms."""
    decode = partial(pyfitparsernative.parse_fit_bytes, file)
    _, (decoder_cpu, decoder_wall) = spent(decode, time.process_time, time.perf_counter)
    _, (worker, wall) = spent(partial(_post, client, file), cpu, time.perf_counter)
    seconds = {
        "CPU": worker,
        "wall": wall,
        "decoder CPU": decoder_cpu,
        "decoder wall": decoder_wall,
    }
    return {name: value * 1000 for name, value in seconds.items()}


def _post(client: httpx2.Client, file: bytes) -> None:
    answer = client.post("/api/uploads", content=file, headers={"Prefer": "wait=60"})
    if answer.status_code != 200 or answer.json()["upload"]["status"] != "done":
        raise RuntimeError(f"the import was answered with {answer.status_code}: {answer.text}")
