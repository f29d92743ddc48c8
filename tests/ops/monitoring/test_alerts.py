"""The alerts and the dashboard: each expression over what a service really tells."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import yaml
from promql_parser import MatchOp

from ops.admin import migrations
from ops.processes import stop
from shared.connections import open_redis
from shared.redis_keys import Queue
from shared.settings import read_settings
from tests.api.answers import T0
from tests.api.files.ride_files import gpx, post
from tests.conftest import ROOT
from tests.full_disk import on_full_disk
from tests.ops.monitoring.promql import History, Scrape, selectors_of
from tests.ops.monitoring.test_doctor import back_up
from tests.shared.monitoring.scraping import Reading, free_port, scrape, total
from tests.shared.monitoring.service import Service, is_served, start_worker, watched_service
from tests.worker.waiting import eventually

FOLDER: Final = ROOT / "ops" / "monitoring"
RULES: Final[dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
DASHBOARD: Final[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: Final = {
    f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
EXPRESSIONS: Final = {name: rule["expr"] for name, rule in RULES.items()} | PANELS
HOUR: Final = 3600.0


@pytest.fixture(scope="module")
def service(urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On databases of its own; its user came two days ago, and there is a backup of today."""
    own = {
        "DATABASE_URL": urls["DATABASE_URL"].replace("/tracker?", "/alerts?"),
        "REDIS_URL": f"{urls['REDIS_URL']}?db=7",
    }
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE alerts")
    migrations.apply(own["DATABASE_URL"])
    folder = tmp_path_factory.mktemp("alerts")
    back_up(folder / "backups", 30 * HOUR)
    with watched_service(own, folder) as service:
        execute(service, "UPDATE users SET created_at = now() - interval '2 days'")
        yield service


def execute(service: Service, statement: str) -> None:
    with psycopg.connect(service.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(statement.encode())


def is_imported(service: Service, status: str) -> bool:
    return total(service.read(), "bpt_imports_total", status=status) == 1


@pytest.fixture(scope="module")
def busy(service: Service) -> History:
    """Scrapes at four minutes' distance, before and after work of every kind."""
    fresh = back_up(Path(service.environ["BACKUP_DIR"]), HOUR)
    eventually(lambda: total(service.read(), "bpt_sweeps_total") >= 1)
    before = Scrape(0, service.read())
    ride, later = service.rider.start(), T0 + 36_000_000  # the file's ride is another one
    service.rider.upload(ride, [{"timestamp": later + k * 1000, "power": 200} for k in range(60)])
    service.rider.complete(ride)
    for name, data in (("broken.gpx", b"<gpx></gpx>"), ("ride.gpx", gpx(60, power=200))):
        assert post(service.rider, data, name).status_code == 202
    for status in ("failed", "done"):
        eventually(partial(is_imported, service, status))
    sweeps = total(before.readings, "bpt_sweeps_total")
    eventually(lambda: total(service.read(), "bpt_sweeps_total") > sweeps)
    history = History(before, Scrape(240, service.read()))
    fresh.unlink()
    return history


def is_pending(name: str, history: History) -> bool:
    """Whether the condition is met now."""
    return bool(history.evaluate(RULES[name]["expr"]))


def fires(name: str, history: History) -> bool:
    """Whether it was met for as long as the rule wants it to be."""
    return history.held(RULES[name]["expr"], patience(name))


def patience(name: str) -> float:
    """The seconds of a rule's ``for``."""
    return 60.0 * int(RULES[name].get("for", "0m").removesuffix("m"))


def lasting(name: str, service: Service) -> History:
    """What is told now and, as if time had passed, once the rule's ``for`` is over."""
    return History(Scrape(0, service.read()), Scrape(patience(name), service.read()))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_is_promql_about_figures_and_labels_that_there_are(
    name: str, busy: History
) -> None:
    for selector in selectors_of(EXPRESSIONS[name]):
        found = [each for each in busy.newest.readings if each.name == selector.name]
        labels = {label for each in found for label in each.labels}
        assert found, selector.name
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels
            values = {each.labels[matcher.name] for each in found}
            assert matcher.op == MatchOp.Re or matcher.value in values


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_of_the_dashboard_shows_something(panel: str, busy: History) -> None:
    assert busy.evaluate(PANELS[panel]) != {}


def test_no_alert_fires_while_all_is_well(busy: History) -> None:
    assert [name for name in RULES if is_pending(name, busy)] == []


def test_every_alert_says_what_is_the_matter_and_how_bad_it_is() -> None:
    for rule in RULES.values():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
    guide = (ROOT / "docs" / "monitoring.md").read_text()
    assert [name for name in RULES if f"`{name}`" not in guide] == []


def test_panels_lie_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, next_one in pairwise(places):
        assert (one["y"], one["x"]) < (next_one["y"], next_one["x"])
        assert one["x"] + one["w"] <= 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_a_missed_backup_fires(service: Service, busy: History) -> None:
    """The newest is 30 hours old."""
    assert not is_pending("BackupMissed", busy)
    assert fires("BackupMissed", lasting("BackupMissed", service))


def test_a_dead_letter_fires(service: Service) -> None:
    """Of an event without a kind, which the worker gives up."""
    assert not is_pending("DeadLetter", now(service))
    with open_redis(read_settings(service.environ)) as redis:
        redis.xadd(Queue.PROMPT, {"no": "kind"})
    eventually(lambda: fires("DeadLetter", lasting("DeadLetter", service)))
    assert total(service.read(), "bpt_given_up_total", kind="unreadable") == 1


def test_a_full_disk_fires(service: Service, tmp_path: Path) -> None:
    """Of a second worker, with figures at a port of its own."""
    assert not is_pending("DiskNearlyFull", now(service))
    full, port = tmp_path / "full", str(free_port())
    own = {"METRICS_PORT": port, "METRICS_DIR": "", "BACKUP_DIR": str(full)}
    log = tmp_path / "worker.log"
    worker = start_worker({**service.environ, **own}, log, *on_full_disk(full))
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        eventually(lambda: is_served(url))
        history = History(Scrape(0, scrape(url)), Scrape(300, scrape(url)))
    finally:
        stop(worker)
    assert fires("DiskNearlyFull", history)
    found: Any = history.evaluate(RULES["DiskNearlyFull"]["expr"])
    assert {frozenset({("folder", "backups")}): 0.0} == found


def test_stopped_workers_and_a_queue_that_grows_fire(service: Service) -> None:
    """Twelve rides are completed every five minutes, and nobody computes them."""
    scrapes = [Scrape(0, service.read())]
    assert not is_pending("NoWorkers", History(*scrapes))
    stop(service.worker)
    for minutes in (5, 10):
        for _ in range(12):
            complete_a_ride(service)
        scrapes.append(Scrape(60 * minutes, service.read()))
    assert fires("NoWorkers", History(*scrapes))
    assert fires("QueueGrows", History(*scrapes))
    assert not fires("QueueGrows", History(*scrapes[:2]))  # it may have been a moment's
    assert not is_pending("RidesWait", History(*scrapes))
    execute(service, "UPDATE workouts SET completed_at = now() - interval '6 minutes'")
    assert fires("RidesWait", lasting("RidesWait", service))


def test_deliveries_that_no_worker_takes_fire(service: Service) -> None:
    """Those behind an earlier one, and what waits of a webhook that was just tried, do not."""
    stop(service.worker)
    execute(
        service,
        """
        INSERT INTO webhooks (user_id, url, events, secret)
        SELECT id, 'https://example.com', '{workout.completed}', 'whsec_' FROM users;
        INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject_id, payload, due_at)
        SELECT id, 'msg', 'workout.completed', id, '{}', now() + hours * interval '1 hour'
        FROM webhooks, unnest(ARRAY[1, -2]) AS hours
        """,
    )
    assert not is_pending("DeliveriesWait", now(service))
    execute(service, "UPDATE webhook_deliveries SET due_at = now() - interval '20 minutes'")
    assert fires("DeliveriesWait", lasting("DeliveriesWait", service))
    execute(service, "UPDATE webhook_deliveries SET tried_at = now() - interval '1 minute'")
    assert not is_pending("DeliveriesWait", now(service))


def complete_a_ride(service: Service) -> None:
    ride = service.rider.start()
    service.rider.upload(ride, [{"timestamp": T0, "power": 200}])
    assert service.rider.client.post(f"/api/workouts/{ride}/complete").status_code == 202


def now(service: Service) -> History:
    readings: list[Reading] = service.read()
    return History(Scrape(0, readings))
