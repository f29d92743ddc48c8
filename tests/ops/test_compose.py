"""compose.yaml: valid by its specification, and every command in it runs.

There is no Docker engine to run it on, so each command is run by hand on the servers of the tests.
"""

import os
import re
import shutil
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

from ops.backups.folder import backups_in
from ops.commands import main
from ops.embedded.postgres import programs, superuser_url
from ops.embedded.valkey import server_program
from ops.processes import stop
from ops.server.stack import IMAGES, make_secrets, open_to_others, pin
from shared.settings import read_settings
from tests.conftest import ROOT, need

STACK: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = STACK["services"]
OURS = {"migrate", "api", "worker", "backup", "ops"}


def python(command: list[str]) -> list[str]:
    """The container's python is ours."""
    return [sys.executable if part == "python" else part for part in command]


def environ_of(service: str, secrets: Path, **more: str) -> dict[str, str]:
    """What the container has; its secrets are in ``secrets``, as in the stack's own folder."""
    environ = {**SERVICES[service]["environment"], **more}
    for name in ("DATABASE_URL_FILE", "REDIS_URL_FILE"):
        file = Path(environ[name]).name
        assert file in SERVICES[service]["secrets"]
        environ[name] = str(secrets / file)
    bare = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return {**bare, **{name: interpolate(str(value)) for name, value in environ.items()}}


@pytest.fixture
def secrets(urls: Mapping[str, str], tmp_path: Path) -> Path:
    """Files as the stack has them, that name the servers of the tests and Redis database 2."""
    folder = tmp_path / "secrets"
    make_secrets(folder)
    for name, url in (
        ("database_url", urls["DATABASE_URL"]),
        ("direct_database_url", urls["DATABASE_URL"]),
        ("redis_url", f"{urls['REDIS_URL']}?db=2"),
    ):
        (folder / name).chmod(0o600)
        (folder / name).write_text(url + "\n")
    return folder


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


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        need("hadolint", "hadolint")
    done = subprocess.run([str(program), "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_only_the_proxy_is_reachable_from_outside() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["proxy", "prometheus"]
    assert published["prometheus"] == ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"]
    assert SERVICES["prometheus"]["profiles"] == ["monitoring"]
    assert STACK["networks"]["back"] == {"internal": True}
    for name in ("postgres", "redis", "pgbouncer"):
        assert SERVICES[name]["networks"] == ["back"]
    *tls, plain = SERVICES["proxy"]["ports"]
    assert tls == ["80:80", "443:443", "443:443/udp"]
    assert plain == "127.0.0.1:${PORT:-8000}:8000"
    assert SERVICES["proxy"]["environment"]["LOCAL_ADDRESS"] == "0.0.0.0"


def test_nothing_writes_outside_its_volumes_grows_without_end_or_takes_all_of_the_machine() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
        if name not in ("migrate", "ops"):  # which run to their end
            assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
            assert service["restart"] == "unless-stopped"


def test_no_secret_is_in_the_file_or_in_an_environment() -> None:
    """Each container has those that it needs; what is a secret is a file."""
    for name, secret in STACK["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|_URL", name) or name.endswith(
                ("_FILE", "PUBLIC_URL", "API_URL")
            )
            if str(value).startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"]
    assert "direct_database_url" not in SERVICES["api"]["secrets"] + SERVICES["worker"]["secrets"]


def test_secrets_are_made_once_and_opened_by_nobody_else_of_the_host(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert set(make_secrets(folder)) == set(STACK["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    before = {file.name: file.read_text() for file in folder.iterdir()}
    (folder / "redis_url").unlink()
    assert make_secrets(folder) == ["redis_url"]
    assert {file.name: file.read_text() for file in folder.iterdir()} == before
    password = before["database_password"].strip()
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert before["pgbouncer_users"] == f'"tracker" "{password}"\n'


def test_images_are_pinned_in_the_environment_of_the_stack(tmp_path: Path) -> None:
    environment = tmp_path / ".env"
    environment.write_text("DOMAIN=power.example.com\nCADDY_IMAGE=caddy@sha256:old")
    pin(environment, lambda image: f"{image.partition(':')[0]}@sha256:new")
    lines = environment.read_text().splitlines()
    assert lines[0] == "DOMAIN=power.example.com"
    assert "CADDY_IMAGE=caddy@sha256:new" in lines
    assert len(lines) == 1 + len(IMAGES)


def test_secrets_that_others_may_read_are_found_on_this_machine(tmp_path: Path) -> None:
    """The container in which the doctor runs does not see them."""
    make_secrets(tmp_path / "secrets")
    (tmp_path / ".env").touch(0o640)
    both = [tmp_path / "secrets", tmp_path / ".env"]
    assert open_to_others(both) == [tmp_path / ".env"]
    (tmp_path / "secrets").chmod(0o755)
    assert open_to_others(both) == both


def test_prometheus_asks_each_container_that_has_figures() -> None:
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["prometheus"]["volumes"])
    (file,) = (source for source, target in mounts.items() if target.endswith("prometheus.yml"))
    config = yaml.safe_load((ROOT / file).read_text())
    assert [mounts.get("./ops/monitoring/alerts.yml")] == ["/etc/prometheus/alerts.yml"]
    assert config["rule_files"] == ["alerts.yml"]
    ((asked,),) = (job["dns_sd_configs"] for job in config["scrape_configs"])
    assert asked["names"] == ["api", "worker"]
    for name in asked["names"]:
        assert SERVICES[name]["environment"]["METRICS_PORT"] == str(asked["port"])
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])


@pytest.mark.parametrize("name", IMAGES)
def test_each_image_has_its_variable(name: str) -> None:
    files = (ROOT / "compose.yaml").read_text() + (ROOT / "Dockerfile").read_text()
    said = f"${{{name}:-{IMAGES[name]}}}"
    assert said in files
    if name in ("PYTHON_IMAGE", "DEBIAN_IMAGE"):
        assert f"ARG {name}={IMAGES[name]}\n" in files
        assert f"FROM ${{{name}}} AS" in files


def test_every_image_is_one_that_can_be_pinned() -> None:
    ours = {"bike-power-tracker", "bike-power-tracker-ops", "bike-power-tracker-pgbouncer"}
    images = {service["image"] for service in SERVICES.values()} - ours
    assert images == {
        f"${{{name}:-{image}}}"
        for name, image in IMAGES.items()
        if name not in ("PYTHON_IMAGE", "DEBIAN_IMAGE")
    }
    froms = re.findall(r"(?m)^FROM (\S+)", (ROOT / "Dockerfile").read_text())
    assert set(froms) == {"${PYTHON_IMAGE}", "${DEBIAN_IMAGE}", "packages", "production"}


def test_what_depends_on_a_server_waits_until_it_is_healthy() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "pgbouncer": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
        }
    for name in ("migrate", "pgbouncer"):
        assert SERVICES[name]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("proxy", "pgbouncer", "postgres", "redis", "api", "worker"):
        assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_a_stop_has_longer_than_what_is_under_way_may_take() -> None:
    settings = read_settings({"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x"})
    graces = {
        name: int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        for name in ("api", "worker")
    }
    assert graces["api"] > settings.shutdown_grace
    assert graces["worker"] > settings.max_import_seconds
    assert "\nSTOPSIGNAL SIGTERM\n" in (ROOT / "Dockerfile").read_text()


def test_the_image_runs_as_a_user_without_rights_and_holds_what_the_commands_need() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for stage in dockerfile.split("FROM ${")[2:]:
        assert re.search(r"\nUSER 1000\d\n(.*\n)*CMD", stage)
    for folder in ("migrations", "shared", "api", "worker", "ops"):
        assert f"COPY {folder} {folder}" in dockerfile
        assert f"!{folder}" in (ROOT / ".dockerignore").read_text()


def test_the_redis_command_starts_a_server_that_forgets_nothing(
    tmp_path: Path, secrets: Path
) -> None:
    _, file, *rest = map(interpolate, SERVICES["redis"]["command"])
    (tmp_path / "data").mkdir()
    rest[rest.index("/data")] = str(tmp_path / "data")
    socket = tmp_path / "s"
    command = [str(server_program()), str(secrets / Path(file).name), *rest]
    process = subprocess.Popen(
        [*command, "--port", "0", "--unixsocket", str(socket)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    password = (secrets / "redis_password").read_text().strip()
    try:
        wait_for(socket.exists)
        with (
            redis.Redis(unix_socket_path=str(socket)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        with redis.Redis(unix_socket_path=str(socket), password=password) as client:
            info = client.info("everything")
            assert info["aof_enabled"] == 1
            assert info["maxmemory_policy"] == "noeviction"
            assert info["maxmemory"] == 1024**3
        assert (tmp_path / "data" / "appendonlydir").is_dir()
    finally:
        stop(process)


def test_redis_may_take_twice_the_memory_of_its_samples() -> None:
    """While it rewrites its file, a page that changes is there twice."""
    limit = interpolate(SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"])
    command = SERVICES["redis"]["command"]
    most = interpolate(command[command.index("--maxmemory") + 1])
    assert (most, limit) == ("1gb", "2g")


def test_the_postgres_command_sets_what_there_is_to_set(urls: Mapping[str, str]) -> None:
    given = [part.partition("=") for part in SERVICES["postgres"]["command"] if "=" in part]
    with psycopg.connect(superuser_url(urls["DATABASE_URL"])) as connection:
        for name, _, value in given:
            found = connection.execute(
                "SELECT setting FROM pg_settings WHERE name = %s", [name]
            ).fetchone()
            assert found, name
            if name == "max_connections":
                assert found == (value,)


def test_pgbouncer_has_fewer_connections_than_postgres_takes() -> None:
    """Beside them come migrations, backups and prompts; the image's own pooler file says them."""
    file = (ROOT / "ops" / "pgbouncer" / "pgbouncer.ini").read_text()
    sizes = re.findall(r"(?m)^(?:default|reserve)_pool_size = (\d+)$", file)
    assert sum(map(int, sizes)) <= 100 // 2
    (mount,) = SERVICES["pgbouncer"]["volumes"]
    assert mount.split(":") == [
        "./ops/pgbouncer/pgbouncer.ini",
        SERVICES["pgbouncer"]["command"][1],
        "ro",
    ]


@pytest.mark.parametrize("service", ["postgres", "pgbouncer"])
def test_the_health_check_of_postgresql_asks_it(service: str, urls: Mapping[str, str]) -> None:
    _, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    if "--port" in arguments:
        port = arguments.index("--port")
        del arguments[port : port + 2]
    host = httpx2.QueryParams(urls["DATABASE_URL"].partition("?")[2])["host"]
    arguments[arguments.index("--host") + 1] = host
    command = [str(programs() / program), *arguments]
    assert check(command, os.environ).returncode == 0
    assert check([*command, "--port", "1"], os.environ).returncode != 0


def test_the_service_s_role_owns_its_database_and_is_no_superuser(
    urls: Mapping[str, str], secrets: Path
) -> None:
    (mount,) = (v for v in SERVICES["postgres"]["volumes"] if "initdb.d" in v)
    script = (ROOT / mount.split(":")[0]).read_text()
    superuser = superuser_url(urls["DATABASE_URL"])
    renamed = script.replace("tracker", "stack")  # as the server has that role already
    renamed = renamed.replace("/run/secrets", str(secrets))
    renamed = renamed.replace("pg_stat_statements", "vector")  # which the wheel has
    command = [str(programs() / "psql"), "-v", "ON_ERROR_STOP=1", superuser]
    assert subprocess.run(command, input=renamed, text=True).returncode == 0
    with psycopg.connect(urls["DATABASE_URL"].replace("tracker@/tracker", "stack@/stack")) as own:
        own.execute("CREATE TABLE of_its_own ()")
        rights = "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert own.execute(rights).fetchone() == (False, True)
    with psycopg.connect(superuser, autocommit=True) as connection:
        passwords = "SELECT rolname, left(rolpassword, 14) FROM pg_authid WHERE rolname = ANY(%s)"
        found = connection.execute(passwords, [["stack", "postgres"]]).fetchall()
        assert set(found) == {("stack", "SCRAM-SHA-256$"), ("postgres", None)}
        connection.execute("DROP DATABASE stack")
        connection.execute("DROP ROLE stack")


def test_new_volumes_are_given_to_postgresql(tmp_path: Path) -> None:
    """The first step of the container is root's, and ends in that of the image."""
    shell, flag, text, name = SERVICES["postgres"]["entrypoint"]
    for program in ("chown", "docker-entrypoint.sh"):
        script(tmp_path / program, f'echo "${{0##*/}} $@" >> {tmp_path}/log')
    command = [shell, flag, text.replace("$$", "$"), name, "postgres", "-c", "a=b c"]
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PGDATA": f"{tmp_path}/18/docker"}
    subprocess.run(command, env=environ, check=True)
    assert (tmp_path / "log").read_text().splitlines() == [
        f"chown postgres /wal {tmp_path}/18",
        "docker-entrypoint.sh postgres -c a=b c",
    ]


def test_wal_is_archived_where_copies_of_the_server_are(tmp_path: Path) -> None:
    """tests/ops/test_archive.py runs both."""
    server, bases = SERVICES["postgres"], SERVICES["bases"]
    assert server["environment"]["WAL_ARCHIVE"] == bases["environment"]["WAL_ARCHIVE"] == "/wal"
    assert set(bases["volumes"]) < set(server["volumes"])
    assert [bases["entrypoint"], bases["command"][0]] == [["archive"], "bases"]
    assert os.access(ROOT / "ops" / "postgres" / "archive", os.X_OK)


def test_the_migrate_command_migrates(secrets: Path) -> None:
    done = check(SERVICES["migrate"]["command"], environ_of("migrate", secrets))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "nothing to apply\n"


def test_the_ops_command_lists_the_migrations(secrets: Path) -> None:
    command = SERVICES["ops"]["entrypoint"] + SERVICES["ops"]["command"]
    done = check(command, environ_of("ops", secrets))
    assert done.stdout.startswith("applied  0001"), done.stderr


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_service_gets_healthy_and_stops_within_its_grace(service: str, secrets: Path) -> None:
    """On Redis database 2: the worker must be the only one there."""
    own = {"HOST": "127.0.0.1", "PORT": "18765", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    environ = environ_of(service, secrets, **own)
    probe = SERVICES[service]["healthcheck"]["test"][1:]
    assert check(probe, environ).returncode != 0
    process = subprocess.Popen(
        python(SERVICES[service]["command"]), cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: check(probe, environ).returncode == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(int(SERVICES[service]["stop_grace_period"].removesuffix("s"))) == 0
    finally:
        stop(process)


def test_the_backup_command_writes_a_backup(secrets: Path, tmp_path: Path) -> None:
    environ = environ_of("backup", secrets, BACKUP_DIR=str(tmp_path / "backups"))
    environ["TMPDIR"] = str(tmp_path)
    process = subprocess.Popen(
        python(SERVICES["backup"]["command"]), cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: any((tmp_path / "backups").glob("bpt-*.backup*")))
    finally:
        stop(process)


def test_what_make_gives_to_a_command_arrives_in_the_stack() -> None:
    """A backup by a recipient that did not arrive would be in the clear."""
    makefile = (ROOT / "Makefile").read_text()
    passed = set(re.findall(r"-e ([A-Z_]+)", makefile))
    here = {"FILE", "KEEP", "BACKUP_DIR"}  # done by make, for files of this machine
    for name in set(re.findall(r"\$\(call ops,([a-z-]+)", makefile)) - {"import"}:
        for option in main.commands[name].params:
            names = {option.envvar} if isinstance(option.envvar, str) else set(option.envvar or [])
            assert names - here - {"BACKUP_IDENTITY"} <= passed, name


def in_stack(tmp_path: Path, target: str, **variables: str) -> list[str]:
    """What make has the stack run, which is up and says nothing."""
    stack = 'case "$1" in ps) echo postgres ;; run) shift; echo "$@" >> "$LOG" ;; esac'
    given = {"COMPOSE": str(script(tmp_path / "compose", stack)), "LOG": str(tmp_path / "log")}
    given |= {"PYTHON": sys.executable, "BACKUP_DIR": str(tmp_path / "backups"), **variables}
    command = ["make", "--no-print-directory", target, *(f"{k}={v}" for k, v in given.items())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = (tmp_path / "log").read_text().splitlines()
    return [line.partition(" ops ")[2] for line in run]


def test_a_backup_of_the_stack_is_a_file_of_this_machine(tmp_path: Path) -> None:
    assert in_stack(tmp_path, "backup") == ["backup --file -"]
    (backup,) = backups_in(tmp_path / "backups")
    assert backup.stat().st_mode & 0o777 == 0o600
    (tmp_path / "log").unlink()
    drill = in_stack(tmp_path, "restore-drill", FILE=str(backup))
    assert drill == ["restore-drill --file -"]


def in_a_stack(tmp_path: Path, stack: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make backup`, where a compose like this is."""
    given = {"COMPOSE": str(script(tmp_path / "compose", stack)), "PYTHON": sys.executable}
    given |= {"BACKUP_DIR": str(tmp_path / "backups"), "OPS": "echo here:", **variables}
    command = ["make", "--no-print-directory", "backup", *(f"{k}={v}" for k, v in given.items())]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_stack_whose_database_is_down_is_not_taken_for_none(tmp_path: Path) -> None:
    """A backup of this checkout's own empty database would count as the newest."""
    done = in_a_stack(tmp_path, 'case "$*" in "ps --all --services") echo postgres ;; esac')
    assert done.returncode != 0
    assert "its PostgreSQL does not run" in done.stderr
    assert "here:" not in done.stdout


def test_a_backup_of_the_stack_that_fails_leaves_nothing(tmp_path: Path) -> None:
    done = in_a_stack(tmp_path, 'case "$1" in ps) echo postgres ;; run) echo half; exit 1 ;; esac')
    assert done.returncode != 0
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_backup_of_the_stack_to_a_named_file_deletes_nothing(tmp_path: Path) -> None:
    stack = 'case "$1" in ps) echo postgres ;; run) echo whole ;; esac'
    folder = tmp_path / "backups"
    for year in (2025, 2026):
        file = folder / f"bpt-{year}0501T120000Z.backup"
        assert in_a_stack(tmp_path, stack, FILE=str(file), KEEP="1").returncode == 0
    assert len(backups_in(folder)) == 2
    assert in_a_stack(tmp_path, stack, KEEP="-1").returncode == 2
    assert in_a_stack(tmp_path, stack, FILE="-").stdout == "whole\n"


def test_the_stack_is_stopped_while_it_goes_back_to_a_moment(tmp_path: Path) -> None:
    stack = 'echo "$@" >> "$LOG"; case "$1" in ps) echo postgres ;; run) exit 3 ;; esac'
    given = {"COMPOSE": script(tmp_path / "compose", stack), "LOG": tmp_path / "log"}
    for moment in ("", "2026-05-01 12:00"):
        command = ["make", "restore-to", f"TIME={moment}", *(f"{k}={v}" for k, v in given.items())]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2
    assert "Error 3" in done.stderr  # of what has failed, though the stack runs again
    assert (tmp_path / "log").read_text().splitlines()[2:] == [
        "stop",
        "run --no-TTY --rm --no-deps --user postgres --entrypoint archive"
        " postgres restore 2026-05-01 12:00",
        "up --detach --wait",
    ]


def test_the_drill_of_a_stack_is_of_the_newest_backup_of_its_own_schedule(tmp_path: Path) -> None:
    assert in_stack(tmp_path, "restore-drill") == ["restore-drill"]


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
