"""compose.yaml: valid by its specification, and every command in it runs.

There is no Docker engine to run it on, so each command is run by hand on the servers of the tests.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import redis
import yaml

from ops.admin import migrations
from ops.embedded.postgres import programs, superuser_url
from ops.embedded.servers import embedded_servers
from ops.embedded.valkey import server_program
from ops.processes import stop
from tests.conftest import ROOT

STACK: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = STACK["services"]
OURS = {"migrate", "api", "worker", "ops"}


def python(command: list[str]) -> list[str]:
    """The container's python is ours."""
    return [sys.executable if part == "python" else part for part in command]


def environ_of(service: str, urls: Mapping[str, str], **more: str) -> dict[str, str]:
    environ = {**SERVICES[service]["environment"], **urls, **more}
    return {**os.environ, **{name: interpolate(str(value)) for name, value in environ.items()}}


def interpolate(value: str) -> str:
    """What compose makes of ``${NAME:-default}`` where no name is set."""
    return re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)


def check(command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        python(command), cwd=ROOT, env=dict(environ), capture_output=True, text=True, timeout=60
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_the_api_is_reachable_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]


def test_what_depends_on_a_server_waits_until_it_is_healthy() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("postgres", "redis", "api", "worker"):
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_the_image_runs_as_a_user_without_rights_and_holds_what_the_commands_need() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.index("USER tracker") < dockerfile.index("CMD")
    for folder in ("migrations", "shared", "api", "worker", "ops"):
        assert f"COPY {folder} {folder}" in dockerfile
        assert f"!{folder}" in (ROOT / ".dockerignore").read_text()


def test_the_redis_command_starts_a_server_that_forgets_nothing(tmp_path: Path) -> None:
    command = [str(server_program()), *map(interpolate, SERVICES["redis"]["command"][1:])]
    socket = tmp_path / "s"
    process = subprocess.Popen(
        [*command, "--port", "0", "--unixsocket", str(socket)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists)
        with redis.Redis(unix_socket_path=str(socket)) as client:
            info = client.info("everything")
            assert info["aof_enabled"] == 1
            assert info["maxmemory_policy"] == "noeviction"
            assert info["maxmemory"] == 1024**3
    finally:
        stop(process)


def test_the_postgres_health_check_asks_the_database(urls: Mapping[str, str]) -> None:
    _, program, *arguments = SERVICES["postgres"]["healthcheck"]["test"]
    host = httpx2.QueryParams(urls["DATABASE_URL"].partition("?")[2])["host"]
    arguments[arguments.index("--host") + 1] = host
    command = [str(programs() / program), *arguments]
    assert check(command, os.environ).returncode == 0
    assert check([*command, "--port", "1"], os.environ).returncode != 0


def test_the_service_s_role_owns_its_database_and_is_no_superuser(data_dir: Path) -> None:
    (mount,) = (v for v in SERVICES["postgres"]["volumes"] if "initdb.d" in v)
    script = (ROOT / mount.split(":")[0]).read_text()
    with embedded_servers(data_dir) as urls:
        superuser = superuser_url(urls["DATABASE_URL"])
        renamed = script.replace("tracker", "stack")  # as the server has that role already
        done = subprocess.run(
            [programs() / "psql", "-v", "ON_ERROR_STOP=1", superuser], input=renamed, text=True
        )
        assert done.returncode == 0
        own = urls["DATABASE_URL"].replace("tracker@/tracker", "stack@/stack")
        assert migrations.apply(own)
        for url in (own, urls["DATABASE_URL"]):
            with psycopg.connect(url) as connection:
                row = connection.execute(
                    "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
                assert row == (False,)
        with psycopg.connect(superuser) as connection:
            secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'"
            assert connection.execute(secret).fetchone() == (None,)


def test_the_migrate_command_migrates(urls: Mapping[str, str]) -> None:
    done = check(SERVICES["migrate"]["command"], environ_of("migrate", urls))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "nothing to apply\n"


def test_the_ops_command_lists_the_migrations(urls: Mapping[str, str]) -> None:
    command = SERVICES["ops"]["entrypoint"] + SERVICES["ops"]["command"]
    done = check(command, environ_of("ops", urls))
    assert done.stdout.startswith("applied  0001"), done.stderr


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_service_gets_healthy_and_stops_within_its_grace(
    service: str, urls: Mapping[str, str]
) -> None:
    """On Redis database 2: the worker must be the only one there."""
    own = {**urls, "REDIS_URL": f"{urls['REDIS_URL']}?db=2"}
    environ = environ_of(service, own, HOST="127.0.0.1", PORT="18765")
    probe = SERVICES[service]["healthcheck"]["test"][1:]
    assert check(probe, environ).returncode != 0
    process = subprocess.Popen(
        python(SERVICES[service]["command"]), cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: check(probe, environ).returncode == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        stop(process)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_import_goes_by_the_stack_s_api_with_a_key_that_is_made_in_the_stack(
    tmp_path: Path,
) -> None:
    stack = 'case "$1" in ps) echo postgres ;; run) echo "$@" >&2; echo bpt_key ;; esac'
    ops = 'printenv IMPORT_KEY IMPORT_URL FILES; echo "$@"'
    variables = {
        "COMPOSE": script(tmp_path / "compose", stack),
        "OPS": script(tmp_path / "ops", ops),
        "PYTHON": "true",  # nothing is installed
        "FILES": "a b.fit",
        "USER": "me@example.com",
        "PORT": "9000",
    }
    command = [
        "make",
        "--no-print-directory",
        "import",
        *(f"{name}={value}" for name, value in variables.items()),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "bpt_key",
        "http://127.0.0.1:9000",
        "a b.fit",
        "import --user me@example.com",
    ]
    assert "ops import-key --user me@example.com" in done.stderr
