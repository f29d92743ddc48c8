"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the checkout that is run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.processes import spawn, stop
from shared.connections import Redis, open_redis
from shared.redis_keys import Queue
from shared.settings import read_settings
from tests.api.answers import T0, eventually, seconds_of
from tests.conftest import ROOT, Rider, serving

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
# "`file`, after `line`:", "`file`, before `line`:" or "`file`, a new file:", then a block.
STEP = re.compile(
    r"^`(?P<file>[^`]+)`, (?:(?P<where>after|before) `(?P<line>[^`]+)`|a new file):\n\n"
    r"```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COPIED = ("api", "worker", "shared", "docs", "tests", "ops", "pyproject.toml", ".env.example")
PATH = re.compile(r"`((?:api|worker|shared|ops|tests|bench|docs)/[\w/.]+)`")

pytestmark = pytest.mark.xdist_group("contributing")  # they share a system that takes seconds


@dataclass(frozen=True)
class System:
    """A user of the copy's API and the document that it serves; its settings, queue and worker."""

    rider: Rider
    document: dict[str, Any]
    environ: dict[str, str]
    redis: Redis
    worker_log: Path


def follow(copy: Path, step: re.Match[str]) -> None:
    """Put the block of a step where it says."""
    file, block = copy / step["file"], step["block"]
    if not step["where"]:
        assert not file.exists()
        file.write_text(block)
        return
    lines = file.read_text().splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if line.strip() == step["line"]]
    assert len(places) == 1, f"{step['file']} has the line {len(places)} times: {step['line']}"
    at = places[0] + (step["where"] == "after")
    file.write_text("".join([*lines[:at], block, *lines[at:]]))


def modules_of(copy: Path) -> dict[str, str]:
    """Variables by which Python takes them from there, and not from where the tests run."""
    return {"PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}


def run(copy: Path, *command: str, **variables: str) -> str:
    """A program on the copy, to its end; what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, **modules_of(copy), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which every recipe has been followed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__py*"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for step in STEP.finditer(GUIDE):
        follow(folder, step)
    return folder


@pytest.fixture(scope="module")
def system(
    copy: Path, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """An API and a worker of the copy, on a database of their own."""
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE contributing")
    database = urlsplit(urls["DATABASE_URL"])._replace(path="/contributing").geturl()
    migrations.apply(database)
    account = create_account(database, "contributor@example.com", "test")
    own = {"DATABASE_URL": database, "REDIS_URL": f"{urls['REDIS_URL']}?db=2", **modules_of(copy)}
    logs = tmp_path_factory.mktemp("logs")
    command = [sys.executable, "-m", "worker"]
    worker = spawn(command, log=logs / "worker.log", environ={**os.environ, **own})
    try:
        with (
            serving(logs / "api.log", **own) as url,
            httpx2.Client(
                base_url=url, headers={"X-API-Key": account.api_key}, timeout=30
            ) as client,
            open_redis(read_settings(own)) as redis,
        ):
            document = client.get("/openapi.json").json()
            yield System(Rider(account, client), document, own, redis, logs / "worker.log")
    finally:
        stop(worker)


def test_each_recipe_edits_one_file_that_there_is_or_two() -> None:
    recipes = re.findall(r"^### (.*)$", GUIDE, re.MULTILINE)
    assert recipes == ["A channel", "A metric", "A query", "A route", "A setting", "A job"]
    parts = re.split(r"^### .*$", GUIDE, flags=re.MULTILINE)[1:]
    assert [len(list(STEP.finditer(part))) for part in parts] == [
        part.count("\n```") // 2 for part in parts
    ]
    edited = [
        len({each["file"] for each in STEP.finditer(part) if each["where"]}) for part in parts
    ]
    assert edited == [1, 2, 2, 1, 2, 1]


def test_every_file_that_the_guide_names_is_there() -> None:
    new = {step["file"] for step in STEP.finditer(GUIDE) if not step["where"]}
    missing = [name for name in PATH.findall(GUIDE) if not (ROOT / name).exists()]
    assert set(missing) == new


def test_what_the_recipes_add_passes_the_checks(copy: Path) -> None:
    files = sorted({step["file"] for step in STEP.finditer(GUIDE) if ".py" in step["file"]})
    run(copy, "-m", "ruff", "format", "--no-cache", *files)
    run(copy, "-m", "ruff", "check", "--no-cache", *files)


def test_a_new_channel_is_described_checked_kept_and_given_back(system: System) -> None:
    sample = system.document["components"]["schemas"]["Sample"]["properties"]
    assert sample["respiration"]["anyOf"][0]["maximum"] == 200
    rider, samples = system.rider, [{"timestamp": T0, "respiration": 31.5}]
    workout = rider.start()
    assert rider.upload(workout, samples).status_code == 202
    assert rider.upload(workout, [{"timestamp": T0, "respiration": 201}]).status_code == 422
    rider.complete(workout)
    given = rider.client.get(f"/api/workouts/{workout}/telemetry?channels=respiration").json()
    assert given["samples"] == samples


def test_a_new_metric_is_described_and_computed(system: System) -> None:
    summary = system.document["components"]["schemas"]["Summary"]["properties"]
    assert summary["coastingTime"]["x-unit"] == "s"
    workout = system.rider.start()
    system.rider.upload(workout, seconds_of(200, 60))
    system.rider.upload(workout, seconds_of(0, 3, T0 + 60_000))
    assert system.rider.complete(workout)["summary"]["coastingTime"] == 3


def test_a_new_metric_gets_its_line_in_the_docs(copy: Path) -> None:
    run(copy, "-m", "tests.shared.figures_table")
    table = (copy / "docs" / "metrics.md").read_text()
    assert "| `coastingTime` | s | seconds at 0 W; null without power |" in table


def test_a_new_query_is_run(copy: Path, system: System) -> None:
    system.rider.start(sport="polo")
    program = (
        "import asyncio, os, sys\n"
        "from uuid import UUID\n"
        "from api.season.store import count_sports\n"
        "from shared.connections import open_async_database\n"
        "from shared.settings import read_settings\n"
        "async def main():\n"
        "    async with open_async_database(read_settings(os.environ)) as database:\n"
        "        print(await count_sports(database, UUID(sys.argv[1])))\n"
        "asyncio.run(main())"
    )
    printed = run(copy, "-c", program, system.rider.account.user_id, **system.environ)
    assert "SportCount(sport='polo', workouts=1)" in printed


def test_a_new_route_is_described_and_answers(system: System) -> None:
    assert system.document["paths"]["/health/clock"]["get"]["operationId"] == "clock"
    assert system.rider.client.get("/health/clock").json()["now"] > T0


def test_a_new_setting_is_read_and_listed(copy: Path) -> None:
    program = (
        "from shared.settings import read_settings\n"
        "urls = {'DATABASE_URL': 'postgresql:///x', 'REDIS_URL': 'redis://x'}\n"
        "print(read_settings({**urls, 'MAX_TITLE_LENGTH': '80'}).max_title_length)"
    )
    assert run(copy, "-c", program) == "80\n"
    assert "# MAX_TITLE_LENGTH=200\n" in (copy / ".env.example").read_text()


def test_a_new_job_is_run_and_its_event_acknowledged(system: System) -> None:
    system.redis.xadd(Queue.PROMPT, {"kind": "greet", "whom": "Ada"})
    eventually(lambda: "greeted Ada\n" in system.worker_log.read_text())
    eventually(lambda: system.redis.xlen(Queue.PROMPT) == 0)
