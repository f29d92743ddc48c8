"""What is left out of every line of a log."""

import json
import re
import subprocess
import sys

import pytest

from shared.credentials import make_key
from tests.conftest import ROOT

LOG = """
import logging, sys
from shared.logs import start_logging
start_logging("info")
try:
    raise ValueError(sys.argv[1])
except ValueError:
    logging.getLogger("any.library").exception("could not use %s", sys.argv[1])
"""


def logged(text: str) -> str:
    """What a process writes of a text, in a message and in a traceback."""
    command = [sys.executable, "-c", LOG, text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.count("could not use") == done.stderr.count("ValueError: ") == 1
    return done.stdout + done.stderr


def test_a_key_is_logged_by_its_id_alone() -> None:
    key = make_key()
    written = logged(f"/api/keys/{key.text}")
    assert key.text.rpartition("_")[2] not in written
    assert written.count(f"/api/keys/bpt_{key.id}_…") == 2


@pytest.mark.parametrize("user", ["", "tracker"])
def test_a_url_is_logged_without_its_password(user: str) -> None:
    written = logged(f"no answer from redis://{user}:hush-hush@cache:6379/0")
    assert "hush" not in written
    assert written.count(f"redis://{user}:…@cache:6379/0") == 2


def test_other_lines_are_logged_as_they_are() -> None:
    assert "could not use http://api:8000/a@b" in logged("http://api:8000/a@b")


def test_json_is_an_object_a_line_with_ids_and_without_secrets() -> None:
    key = make_key()
    lines = [json.loads(line) for line in logged_as_json(f"{key.text}\n2nd line").splitlines()]
    before, within, failure = lines
    assert before["event"] == "starts at http://api"
    assert before.keys() == {"time", "level", "logger", "event"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", before["time"])
    assert within == {
        "time": within["time"],
        "level": "warning",
        "logger": "any.library",
        "event": 'saw "quotes"',
        "user": "7",
        "workout": "w",
    }
    assert failure["event"] == f"could not use bpt_{key.id}_…\n2nd line"
    assert failure["traceback"].startswith("Traceback (most recent call last):\n")
    assert "workout" not in failure
    assert key.text.rpartition("_")[2] not in str(lines)


JSON_LOG = """
import logging, sys
from shared.logs import about, remember, start_logging
start_logging("info", "json")
logger = logging.getLogger("any.library")
logger.info("starts at http://api")
remember(user=7, request=None)
with about(workout="w"):
    logger.warning('saw "%s"', "quotes")
try:
    raise ValueError(sys.argv[1])
except ValueError:
    logger.exception("could not use %s", sys.argv[1])
"""


def logged_as_json(text: str) -> str:
    command = [sys.executable, "-c", JSON_LOG, text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr
