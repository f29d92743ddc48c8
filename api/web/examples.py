"""Examples of requests, answers and problems for the document.

Answers are real: tests/api/web/test_examples.py records them. Bytes cannot be shown, and are named.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from api.web import problems
from api.web.body import JSON
from api.web.problems import Problem, problem_response
from api.web.routing import Operation
from api.web.shapes import member_names, sentence, unknown, wrong_values

PROBLEM: Final = "application/problem+json"
# Operation id → status → content type → what was answered.
_RECORDED: Final = msgspec.json.decode(Path(__file__).with_name("examples.json").read_bytes())
_BYTES: Final = {
    "application/octet-stream": "(the bytes of evening.fit)",
    "application/vnd.ant.fit": "(the bytes of 2026-05-17-Evening-ride.fit)",
    "application/zip": "(the bytes of bike-power-tracker-2026-05-17.zip)",
}
_UNREADY: Final = {
    "status": "not ready",
    "workers": 2,
    "problems": ["Redis has no append-only file: set `appendonly yes`"],
}
_FORM: Final = {"file": "(the bytes of evening.fit)", "title": "Evening ride"}
_LINES: Final = (
    '{"timestamp": 1700000000000, "power": 210, "cadence": 90}\n'
    '{"timestamp": 1700000001000, "power": 214, "heartrate": 131}\n'
)
_ANY_TEXT: Final = "must be text"  # as every parameter is
_LACKING: Final = {
    **{"key": "key", "share": "link", "token": "link", "upload": "upload"},
    **{"delivery": "delivery", "webhook": "webhook"},
}
# Of each status, where it says the same everywhere.
_PROBLEMS: Final[Mapping[HTTPStatus, Problem]] = {
    problem.status: problem
    for problem in (
        problems.BadRequest(
            "the body is not JSON: the name of a member must be in double quotes (byte 1)"
        ),
        problems.Unauthorized("send an API key: Authorization: Bearer KEY, or X-API-Key: KEY"),
        problems.RequestTimeout("the body did not arrive within 30 s"),
        problems.TooLarge("the body is over 5242880 bytes"),
        problems.UnsupportedMediaType("send application/json, not text/plain"),
        problems.TooManyRequests("too often; ask again in 12 s"),
        problems.Busy("the service is busy or restarting; nothing was lost, send the same again"),
    )
}


def of_request(operation: Operation, media: str) -> Any:
    """What somebody might send of this content type."""
    if media == JSON:
        return operation.example
    if media == "multipart/form-data":
        return _FORM
    return _BYTES.get(media, _LINES)


def of_answer(operation: Operation, status: HTTPStatus, media: str) -> Any:
    """What was answered once; by another operation, where it takes what is not here to ask this."""
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return _UNREADY
    recorded = _recorded(operation.handler.__name__, status, media)
    return _BYTES.get(media) if recorded is None else recorded


def of_problem(operation: Operation, status: HTTPStatus, meaning: str) -> Any:
    """The document of a problem of this status. ``meaning``: what the status says here."""
    recorded = _recorded(operation.handler.__name__, status, PROBLEM)
    return recorded or msgspec.json.decode(
        problem_response(_problem(operation, status, meaning)).body
    )


def _recorded(name: str, status: HTTPStatus, media: str) -> Any:
    name = _AS_GOOD.get(name, name)
    return _RECORDED.get(name, {}).get(str(status.value), {}).get(media)


# The same type, from an operation that can be asked without a provider or a head unit.
_AS_GOOD: Final = {"finish_sign_in": "log_in", "take_device_ftp": "put_thresholds"}


def _problem(operation: Operation, status: HTTPStatus, meaning: str) -> Problem:
    match status:
        case HTTPStatus.FORBIDDEN if operation.scope:
            return problems.MissingScope.of(str(operation.scope))
        case HTTPStatus.NOT_FOUND:
            lacking = (name for part, name in _LACKING.items() if f"{{{part}}}" in operation.path)
            return problems.NotFound(f"no such {next(lacking, 'workout')}")
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return _wrong_value(operation)
    if status in operation.refusals or status not in _PROBLEMS:
        return _kind_of(status)(meaning[:1].lower() + meaning[1:])
    return _PROBLEMS[status]


def _wrong_value(operation: Operation) -> Problem:
    """Of the first member or parameter that is not any text; else of a name that nothing has."""
    kinds = (*operation.body.values(), operation.query)
    faults = (each for kind in kinds for each in wrong_values(kind))
    if fault := next((each for each in faults if each.detail != _ANY_TEXT), None):
        return problems.Unprocessable(sentence(fault), [fault])
    names = member_names(operation.query)
    fault = unknown("start", names, what="parameter")
    return problems.UnknownName(sentence(fault), [fault])


def _kind_of(status: HTTPStatus) -> type[Problem]:
    return next(each for each in problems.kinds_of_problems().values() if each.status == status)
