"""No value of any parameter or member is a fault of ours, and none harms what comes after it."""

import json
from typing import Any

import httpx2
import pytest

from api.app import OPERATIONS, SUBJECTS
from api.web.body import JSON
from api.web.openapi import document
from api.web.routing import Operation
from tests.api.answers import T0, problem_of, seconds_of
from tests.api.webhooks.rows import make_webhook
from tests.conftest import Rider

TEXTS = [
    "x",
    "-1",
    "0",
    "nan",
    "inf",
    "1e400",
    "9" * 400,
    "\0",
    "é",
    "%",
    "'",
    "true",
    "Europe",
    "../UTC",
    "localtime",
    "posixrules",
    "1970-01-01",
    "0001-01-01",
    "9999-12-31",
    "0001-01-01T00:00:00+10:00",
    "9999-12-31T23:59:59-10:00",
    "2024-02-30",
    "-" * 33,
    "- " * 100,
    '-"' * 100,
    "\U0001d538",
    "\u202egnirts",  # from right to left
    "e" + 100 * "\u0301",
    "\x1b[31m\x7f",
    "a\r\nX-Header: b",
    "_%\\",
    "(a+)+$" + 100 * "a",
    "x" * 5_000,
    "{}",
    "W10=",  # [], null and a place of a list, as a cursor has them
    "bnVsbA==",
    "WyJzdGFydFRpbWUiLCJkZXNjIl0=",
    "W1tbW1tbW1tb",
    "=",
]
# What no client makes of a text, in a query: halves of characters, and no character at all.
ESCAPES = [
    "%ED%A0%80",
    "%FF",
    "%C0%AF",
    "%F4%90%80%80",
    "%",
    "%0",
    "%zz",
    "%00",
    "%2500",
    "+",
    "&&=",
]
VALUES: list[Any] = [
    *TEXTS,
    "\ud800",
    "\udc00x",
    None,
    True,
    0,
    -1,
    1e300,
    10**400,
    2**63,
    [],
    {},
    [[]],
    "x" * 20_000,
]
# Of a file, and of a stream that goes on for as long as the ride does.
UNREAD = ("{upload}", "{upload}/file", "/live")
DOCUMENT = document(SUBJECTS, "1")


def described(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return content


def members_of(operation: Operation) -> list[str]:
    """The names of the members that the body of an operation may have."""
    schema = described(operation)["requestBody"]["content"]["application/json"]["schema"]
    references = [schema, *schema.get("anyOf", [])]
    names = [one["$ref"].rpartition("/")[2] for one in references if "$ref" in one]
    schemas = DOCUMENT["components"]["schemas"]
    return [member for name in names for member in schemas[name]["properties"]]


def place(path: str, workout: str, webhook: str) -> str:
    """A path about these."""
    return path.replace("{id}", workout).replace("{webhook}", webhook)


def accepted_or_refused(response: httpx2.Response, value: object) -> None:
    if not response.is_success:
        problem_of(response, response.status_code)
    assert response.status_code < 500, f"{response.request.url} {str(value)[:60]}"


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if operation.query],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_no_value_of_a_parameter_is_a_fault_of_ours(rider: Rider, operation: Operation) -> None:
    workout = rider.start()
    rider.client.put("/api/users/me/thresholds", json={"effectiveFrom": "2020-01-01", "ftp": 250})
    rider.upload(workout, seconds_of(200, 60))
    rider.complete(workout)
    path = place(operation.path, workout, make_webhook(rider)["webhook"]["id"])
    for parameter in described(operation)["parameters"]:
        if parameter["in"] == "query":
            for text in TEXTS:
                query = {parameter["name"]: text}
                response = rider.client.request(operation.method, path, params=query)
                accepted_or_refused(response, query)
            for escape in ESCAPES:
                address = f"{path}?{parameter['name']}={escape}"
                accepted_or_refused(rider.client.request(operation.method, address), escape)


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if JSON in operation.body],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_no_value_of_a_member_is_a_fault_of_ours(rider: Rider, operation: Operation) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    webhook = make_webhook(rider)["webhook"]["id"]
    path = place(operation.path, workout, webhook)
    members = members_of(operation)
    told = {"from": T0, "to": T0 + 1, "effectiveFrom": "2024-01-01"}
    whole = {name: value for name, value in told.items() if name in members}
    for member in members:
        for value in VALUES:
            for body in ({member: value}, {**whole, member: value}):
                content = json.dumps(body)  # with escapes: half a character has no other form
                response = rider.client.request(
                    operation.method,
                    path,
                    content=content,
                    headers={"Content-Type": "application/json"},
                )
                accepted_or_refused(response, body)
    # What was accepted can be read again.
    for again in OPERATIONS:
        if again.method == "GET" and again.scope and not again.path.endswith(UNREAD):
            answer = rider.client.get(place(again.path, workout, webhook))
            assert answer.status_code == 200, answer.text
    assert rider.complete(workout)["status"] == "COMPLETED"
