"""The coach's dashboard of examples/, against a service that works."""

import subprocess
import sys
from collections.abc import Callable

from examples.coach_dashboard import HEADS, Coach
from tests.api.answers import seconds_of
from tests.api.identity.test_auth import offered_to
from tests.api.sharing.test_let_in import accept
from tests.conftest import ROOT, Rider


def run(service: str, key: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(ROOT / "examples" / "coach_dashboard.py"), service, key]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def test_it_prints_every_athlete_and_who_waits(
    service: str, make_rider: Callable[[], Rider], rider: Rider
) -> None:
    coach, other = make_rider(), make_rider()
    rider.client.patch("/api/users/me", json={"displayName": "Ada"})
    thresholds = {"effectiveFrom": "2020-01-01", "ftp": 200}
    rider.client.put("/api/users/me/thresholds", json=thresholds)
    workout = rider.start(title="Twenty minutes")
    rider.upload(workout, seconds_of(240, 1201))
    rider.complete(workout)
    accept(coach, rider)
    offered_to(coach, other)

    printed = run(service, coach.account.api_key)
    assert (printed.returncode, printed.stderr) == (0, "")
    heads, athlete, waiting = printed.stdout.splitlines()
    assert heads.split() == " ".join(HEADS).split()
    assert athlete.startswith("Ada")
    assert "Twenty minutes" in athlete
    assert athlete.endswith("240 W")
    assert f"/api/athletes/{other.account.user_id}/accept" in waiting


def test_a_key_that_opens_nothing_is_said(service: str) -> None:
    printed = run(service, "bpt_nothing")
    assert printed.returncode == 1
    assert printed.stderr.startswith("401: ")


def test_an_athlete_who_has_ended_it_meanwhile_is_a_row_all_the_same(
    service: str, rider: Rider
) -> None:
    coach = Coach(service, rider.account.api_key)
    assert coach._best(rider.account.user_id) == "–"
