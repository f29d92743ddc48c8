"""`make audit`, on what pip-audit answers: no network is needed to read that."""

import json
import sys
from typing import Any

import pytest

from ops.audit import audit

GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found on PyPI: unknown (1.0)"}


def answering(*packages: dict[str, Any]) -> list[str]:
    """In place of pip-audit."""
    return [sys.executable, "-c", f"print({json.dumps({'dependencies': packages})!r})"]


@pytest.mark.parametrize(
    ("packages", "strict", "code", "said"),
    [
        ([GOOD], True, 0, "nothing is known against the 1 packages of the lock files"),
        ([GOOD, BAD], False, 1, "bad 1.0 has PYSEC-1: mended in 1.1"),
        (
            [GOOD, UNKNOWN],
            False,
            0,
            "1 of 2 could not be checked: not found on PyPI: unknown (1.0)",
        ),
        ([GOOD, UNKNOWN], True, 1, "1 of 2 could not be checked: not found on PyPI: unknown (1.0)"),
    ],
)
def test_what_is_found_fails_and_what_cannot_be_checked_is_said(
    packages: list[dict[str, Any]],
    strict: bool,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit(answering(*packages), strict=strict) == code
    assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize("strict", [False, True])
def test_a_registry_that_cannot_be_reached_is_said_in_one_line(
    strict: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = [sys.executable, "-c", "raise OSError('no network')"]
    assert audit(failing, strict=strict) == strict
    assert capsys.readouterr().out == "could not be checked: OSError: no network\n"
