"""`make status` and `make lag`: who runs, and how much waits."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import redis

from ops.monitoring.findings import Patient, in_bytes, in_words
from ops.monitoring.machine import api_url, check_api
from shared.connections import open_redis
from shared.monitoring.backups import newest_backup
from shared.monitoring.replica import read_replica
from shared.monitoring.system import (
    Backlog,
    RedisState,
    read_backlog,
    read_disk,
    read_redis,
    sees_backups,
)
from shared.monitoring.workers import Heartbeat, living_workers


def status(patient: Patient) -> Iterator[str]:
    """Lines for the terminal; a server that is away costs its lines only."""
    problems = [finding.wrong for finding in check_api(patient)]
    yield f"API         {problems[0] if problems else f'ready at {api_url(patient)}'}"
    yield from _of_redis(patient)
    yield from _of_database(patient)
    yield from _of_replica(patient)
    for folder in sorted({str(patient.data_dir), patient.settings.backup_dir}):
        disk = read_disk(folder)
        yield f"disk        {in_bytes(disk.free)} of {in_bytes(disk.size)} free for {folder}"


def lag(patient: Patient) -> Iterator[str]:
    """How far the workers are behind. Raises redis.RedisError, psycopg.Error."""
    with open_redis(patient.settings) as client:
        yield from _queues(read_redis(client))
    yield from _backlog(read_backlog(patient.settings))


def _of_redis(patient: Patient) -> Iterator[str]:
    try:
        with open_redis(patient.settings) as client:
            state, workers = read_redis(client), living_workers(client)
    except redis.RedisError as error:
        yield f"Redis       is not reached: {error}"
        return
    yield f"workers     {len(workers)}" + (", paused: most jobs fail" * state.breaker_open)
    yield from (f"            {_worker(each)}" for each in workers)
    limit = in_bytes(state.most_memory) if state.most_memory else "no limit"
    yield f"Redis       {in_bytes(state.memory)} of {limit} used"
    yield from _queues(state)


def _of_database(patient: Patient) -> Iterator[str]:
    try:
        backlog = read_backlog(patient.settings)
    except psycopg.errors.UndefinedTable:
        yield "PostgreSQL  is not migrated: make migrate"
        return
    except psycopg.Error as error:
        yield f"PostgreSQL  is not reached: {str(error).strip().partition(chr(10))[0]}"
        return
    yield from _backlog(backlog)
    if sees_backups(patient.settings):
        backups = patient.settings.backup_dir
        newest = newest_backup(Path(backups))
        made = f"{in_words(time.time() - newest.made_at)} old" if newest else "none"
        yield f"backup      {made}, in {backups}"


def _of_replica(patient: Patient) -> Iterator[str]:
    if not patient.settings.database_read_url:
        return
    try:
        state = read_replica(patient.settings)
    except psycopg.Error as error:
        yield f"replica     is not reached: {str(error).strip().partition(chr(10))[0]}"
        return
    follows = "" if state.follows and not state.is_ahead else ", and does not follow the primary"
    yield f"replica     {in_bytes(state.behind)} of WAL and {state.lag:.1f} s behind{follows}"


def _worker(worker: Heartbeat) -> str:
    since = f"since {in_words(time.time() - worker.started)}"
    at = ""
    if worker.event and worker.event_since:
        at = f", at {worker.event} for {in_words(time.time() - worker.event_since)}"
    return f"{worker.pid} on {worker.host}, version {worker.version}, {since}{at}"


def _queues(state: RedisState) -> Iterator[str]:
    for queue, found in state.queues.items():
        age = f", the oldest {in_words(found.oldest)} old" if found.events else ""
        yield f"queue       {queue.name.lower()}: {found.events}, {found.pending} in hand{age}"
    yield f"late        {state.late} rides that are over and have late samples"


def _backlog(backlog: Backlog) -> Iterator[str]:
    since = f", the oldest for {in_words(backlog.oldest_completion)}" * bool(backlog.completions)
    yield f"rides       {backlog.completions} wait for their figures{since}"
    since = f", the oldest for {in_words(backlog.oldest_import)}" * bool(backlog.imports)
    yield f"files       {backlog.imports} wait to be read{since}"
    since = f", due for {in_words(backlog.oldest_delivery)}" * bool(backlog.oldest_delivery)
    yield f"deliveries  {backlog.deliveries} wait to be told to webhooks{since}"
    yield f"recomputes  {backlog.recomputes} rides wait for new figures"
    yield f"dead        {backlog.dead_letters} letters wait: make dead-letters"
