"""The served document against the service, by Schemathesis: schemathesis.toml says how."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.api.identity.test_auth import offered_to
from tests.api.sessions import PASSWORD
from tests.api.sharing.test_let_in import accept
from tests.conftest import ROOT, Rider

# Cases an operation and a phase. `make fuzz` tries more, and other ones every time.
EXAMPLES = os.environ.get("EXAMPLES", "")
REACHED = {*range(200, 300), 409}
# What only a session may do that has just been opened: the key in use is none. And signing in by
# a provider: no name that is made up is one's. And an app that is let in, which no operation does.
# And streams, which are not tried.
UNREACHABLE = {
    "GET /api/workouts/{id}/live",
    "GET /api/shared/{token}/live",
    "PUT /api/users/me/password",
    "DELETE /api/users/me",
    "GET /api/sign-in/{provider}",
    "GET /api/sign-in/{provider}/callback",
    "DELETE /api/connections/{app}",
}
# Only if a ride changed while a webhook was to be told of it.
BY_CHANCE = {"POST /api/webhooks/{webhook}/deliveries/{delivery}/redeliver"}
BOUNDED = ["--generation-deterministic", "--max-examples", "16"]


def schemathesis(
    service: str, rider: Rider, variables: dict[str, str], har: Path
) -> subprocess.CompletedProcess[str]:
    extent = ["--max-examples", EXAMPLES] if EXAMPLES else BOUNDED
    config = ["--config-file", "tests/contract/schemathesis.toml"]
    secrets = {"API_KEY": rider.account.api_key, **variables}
    options = ["--no-color", "--report-har-path", str(har), *extent, f"{service}/openapi.json"]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *config, "run", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **secrets},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def shared_ride(rider: Rider) -> str:
    """The token of a link to a ride that has begun."""
    started = rider.client.post("/api/workouts", json={}).json()["workout"]["id"]
    samples = [{"timestamp": int(time.time() * 1000), "power": 200}]
    sent = rider.client.post(f"/api/workouts/{started}/telemetry", json={"samples": samples})
    assert sent.is_success, sent.text
    link = rider.client.post(f"/api/workouts/{started}/share", json={})
    assert link.is_success, link.text
    return str(link.json()["token"])


def operations_reached(har: Path, document: dict[str, Any]) -> set[str]:
    """Those that succeeded, or would have but for the state of what they were called on."""
    patterns = {path: re.compile(re.sub(r"{\w+}", "[^/]+", path)) for path in document["paths"]}
    return {
        f"{entry['request']['method']} {path}"
        for entry in json.loads(har.read_text())["log"]["entries"]
        for path, pattern in patterns.items()
        if entry["response"]["status"] in REACHED
        if pattern.fullmatch(urlsplit(entry["request"]["url"]).path)
    }


@pytest.mark.timeout(0 if EXAMPLES else 1800)  # seconds; a busy machine may need many
def test_every_answer_is_as_documented_whatever_is_sent(
    make_rider: Callable[[], Rider], service: str, unthrottled: None, tmp_path: Path
) -> None:
    account = {"email": "contract@example.com", "password": PASSWORD}
    assert httpx2.post(f"{service}/api/users", json=account).status_code in (201, 409)
    rider, har = make_rider(), tmp_path / "schemathesis.har"
    let_in, offering = make_rider(), make_rider()
    accept(rider, let_in)
    variables = {
        "SHARE_TOKEN": shared_ride(make_rider()),
        "ATHLETE": let_in.account.user_id,
        "OFFERING": offered_to(rider, offering),
    }
    done = schemathesis(service, rider, variables, har)
    assert done.returncode == 0, done.stdout
    assert rider.client.get("/api/users/me").status_code == 200, "the key was lost on the way"
    document = httpx2.get(f"{service}/openapi.json").json()
    every = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    # Else checks were passed only because everything was refused.
    assert every - operations_reached(har, document) - BY_CHANCE == UNREACHABLE
