"""What is said of a body that is no JSON, no text or no gzip: never in a parser's words."""

import ast
import gzip
from collections.abc import Iterator

import pytest

from api.ingest.batch import NDJSON
from api.ingest.inspection import inspect
from api.web.body import decode_json, inflate
from api.web.problems import BadRequest
from api.workouts.starting import CreateWorkout
from tests.api.ingest.test_parsing import LIMITS
from tests.conftest import ROOT

VALUE = "a value must be an object, an array, text in double quotes, a number, true, false or null"
MALFORMED = {
    b"{": "it ends early",
    b'{"title": "x': "it ends early",
    b"{1: 2}": "the name of a member must be in double quotes (byte 1)",
    b"{'title': 1}": "the name of a member must be in double quotes (byte 1)",
    b'{"title": "x",}': "nothing follows a comma (byte 14)",
    b'{"title" "x"}': "a colon must follow the name of a member (byte 9)",
    b'{"title": "x" "sport": "y"}': "a comma or the closing bracket is missing (byte 14)",
    b"NaN": f"{VALUE} (byte 0)",
    b"<xml/>": f"{VALUE} (byte 0)",
    b'{"title": 01}': "a number is malformed (byte 11)",
    b'{"title": "x"} x': "more follows after its end (byte 16)",
    b'{"title": "\\x"}': r"a backslash in text must begin an escape such as \n or \u00e9 (byte 13)",
    b"[" * 5000: "it is nested too deep",
}


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:16]))
def test_what_is_no_json_is_told_in_our_words(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_json(body, object)
    assert caught.value.detail == f"the body is not JSON: {MALFORMED[body]}"


def test_a_body_of_ours_is_told_the_same() -> None:
    with pytest.raises(BadRequest, match=r"not JSON: it ends early$"):
        decode_json(b'{"title": "x', CreateWorkout)


def test_a_line_that_is_no_json_is_told_in_our_words() -> None:
    lines = b'{"timestamp": 1700000000000, "power": 200}\n{1:2}'
    with pytest.raises(BadRequest) as caught:
        inspect(lines, NDJSON, LIMITS, lenient=False)
    wrong = "not a line of JSON: the name of a member must be in double quotes (byte 1)"
    assert caught.value.detail == f"sample 1 is {wrong}"
    left_out = inspect(lines, NDJSON, LIMITS, lenient=True).dropped
    assert [(each.index, each.detail) for each in left_out] == [(1, wrong)]


def test_what_is_no_text_is_told_in_our_words() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_json(b'{"title": "\xff"}', CreateWorkout)
    assert caught.value.detail == "the body cannot be read: it is not UTF-8 (byte 11)"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"{}", "it begins otherwise"),
        (gzip.compress(b"{}")[:-1], "it ends early"),
        (gzip.compress(b"x" * 100)[:10] + b"\xff" * 20, "it is damaged"),
    ],
)
def test_what_is_no_gzip_is_told_in_our_words(body: bytes, wrong: str) -> None:
    with pytest.raises(BadRequest) as caught:
        inflate(body, 1000)
    assert caught.value.detail == f"the body is not gzip: {wrong}"


# Where the text of an exception goes into what is raised: it is ours, for riders, or for the log.
KNOWN = {
    "api/identity/openid.py: msgspec.DecodeError",
    "api/identity/openid.py: msgspec.ValidationError",
    "api/identity/registration.py: EmailNotValidError",
    "api/season/records.py: ValueError",
    "api/web/query.py: ValueError",
    "api/webhooks/webhooks.py: ValueError",
}


def repeated() -> Iterator[str]:
    """Module and exception of each handler that puts the text of what it caught into an answer."""
    for path in sorted((ROOT / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.name and _repeats(node):
                kind = ast.unparse(node.type) if node.type else ""
                yield f"{path.relative_to(ROOT)}: {kind}"


def _repeats(handler: ast.ExceptHandler) -> bool:
    """Whether it does so in what it raises, or in a fault that it makes."""
    answers = [
        ast.unparse(each)
        for each in ast.walk(handler)
        if isinstance(each, ast.Raise)
        or (isinstance(each, ast.Call) and ast.unparse(each.func) == "Fault")
    ]
    shown = (f"{{{handler.name}}}", f"str({handler.name})")
    return any(part in answer for answer in answers for part in shown)


def test_no_other_text_of_an_exception_reaches_a_client() -> None:
    assert set(repeated()) == KNOWN
