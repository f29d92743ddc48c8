"""The rules that hold the rooms of the worker apart; tests.test_architecture has their order."""

from tests.test_architecture import ROOT, imports_of

WORKER = ROOT / "worker"


def test_each_room_runs_its_sql_in_one_module() -> None:
    modules = sorted(WORKER.rglob("*.py"))
    running = [path for path in modules if "load_queries(" in path.read_text()]
    assert [str(path.relative_to(WORKER)) for path in running] == [
        "files/store.py",
        "jobs/store.py",
        "queue/dead_letters.py",
        "rides/store.py",
        "webhooks/store.py",
    ]


def test_the_queue_knows_jobs_and_no_ride() -> None:
    of_rides = ("worker.rides", "worker.metrics", "worker.jobs", "shared.samples")
    for path in (WORKER / "queue").rglob("*.py"):
        assert [name for name in imports_of(path) if name.startswith(of_rides)] == []
