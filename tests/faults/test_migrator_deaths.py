"""A migrator that is killed between a migration and the mark that it was applied."""

import signal
import subprocess
import sys

import psycopg

from ops.admin import migrations
from tests.conftest import ROOT
from tests.faults.system import System
from tests.worker.waiting import eventually


def test_a_migrator_killed_before_its_mark_leaves_nothing_in_the_way_of_the_next(
    system: System,
) -> None:
    newest = migrations.roll_back(system.database_url)
    command = "import sys; from ops.admin import migrations; migrations.apply(sys.argv[1])"
    with psycopg.connect(system.database_url) as holder:
        holder.execute("LOCK TABLE _yoyo_migration IN EXCLUSIVE MODE")  # may be read
        migrator = subprocess.Popen([sys.executable, "-c", command, system.database_url], cwd=ROOT)
        eventually(system.has_waiting_transaction)
        migrator.send_signal(signal.SIGKILL)
        assert migrator.wait() == -signal.SIGKILL
    assert migrations.apply(system.database_url) == newest
    assert all(applied for _, applied in migrations.status(system.database_url))
