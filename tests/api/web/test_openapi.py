"""The published document against the application that serves it."""

import re
from typing import Any

import httpx2
import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount, Route

from api.app import OPERATIONS, SUBJECTS, routes
from api.identity.auth import authenticate
from api.web.body import JSON
from api.web.openapi import document
from api.web.routing import Operation, Operations, make_endpoints
from shared.samples.channels import CHANNELS
from shared.settings import Settings
from tests.api.answers import T0, seconds_of
from tests.conftest import Rider

DOCUMENT = document(SUBJECTS, "1")


@pytest.fixture(scope="module")
def published(service: str) -> dict[str, Any]:
    response = httpx2.get(f"{service}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    content: dict[str, Any] = response.json()
    return content


def test_the_document_is_valid_openapi(published: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(published).iter_errors()] == []


def test_every_route_and_method_is_in_the_document(settings: Settings) -> None:
    paths = [
        route.path
        for route in routes(make_endpoints(OPERATIONS, authenticate))
        if isinstance(route, Route | Mount)
        and not route.path.startswith(("/docs", "/openapi", "/problems"))
    ]
    assert sorted(paths) == sorted(DOCUMENT["paths"])
    described = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)


def test_operation_ids_are_unique() -> None:
    ids = [one["operationId"] for item in DOCUMENT["paths"].values() for one in item.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_the_published_bounds_are_those_of_the_table(
    published: dict[str, Any], channel: Any
) -> None:
    schemas = published["components"]["schemas"]
    sample = schemas["Sample"]["properties"][channel.name]
    column = next(
        kind for kind in schemas["Batch"]["properties"][channel.name]["anyOf"] if "items" in kind
    )
    for schema in (sample, column["items"]):
        number = next(kind for kind in schema["anyOf"] if kind.get("type") == "number")
        assert (number["minimum"], number["maximum"]) == (channel.minimum, channel.maximum)
        assert {"type": "null"} in schema["anyOf"]


def test_a_sample_has_every_channel_and_needs_only_its_timestamp(
    published: dict[str, Any],
) -> None:
    sample = published["components"]["schemas"]["Sample"]
    assert set(sample["properties"]) == {"timestamp", *(channel.name for channel in CHANNELS)}
    assert sample["required"] == ["timestamp"]


def operation_of(method: str, path: str) -> dict[str, Any]:
    described: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return described


def test_a_guarded_operation_says_so_and_an_open_one_does_not() -> None:
    for operation in OPERATIONS:
        described = operation_of(operation.method, operation.path)
        assert "security" not in described or "401" in described["responses"]
        assert ("security" in described) == (operation.scope is not None)
        assert operation.scope is None or "401" in described["responses"]
        assert operation.scope is None or f"`{operation.scope}`" in described["description"]


def test_parameters_are_named_as_the_api_reads_them() -> None:
    listing = operation_of("GET", "/api/workouts")["parameters"]
    assert listing[-1]["name"] == "If-None-Match"
    assert [one["name"] for one in listing if one["in"] == "query"] == [
        "page",
        "limit",
        "cursor",
        "sort",
        "order",
        "status",
        "sport",
        "from",
        "to",
        "q",
        "minAvgPower",
        "maxAvgPower",
        "minNormalizedPower",
        "maxNormalizedPower",
        "minTotalEnergy",
        "maxTotalEnergy",
        "minDuration",
        "maxDuration",
        *("userId", "startDate", "endDate"),  # of clients of the original service
        "athlete",
    ]
    one = operation_of("GET", "/api/workouts/{id}")["parameters"]
    names = ["id", "includeTelemetry", "athlete", "If-None-Match"]
    assert [parameter["name"] for parameter in one] == names


def test_what_was_made_is_linked_to_everything_that_can_be_done_with_it() -> None:
    for making, name in (
        (operation_of("POST", "/api/workouts"), "id"),
        (operation_of("POST", "/api/keys"), "key"),
        (operation_of("POST", "/api/apps"), "app"),
        (operation_of("POST", "/api/uploads"), "upload"),
        (operation_of("POST", "/api/keys/{key}/rotate"), "key"),
    ):
        links = making["responses"].get("201", making["responses"].get("202"))["links"]
        linked = {link["operationId"] for link in links.values()}
        assert linked == {
            operation.handler.__name__
            for operation in OPERATIONS
            if f"{{{name}}}" in operation.path
        }


def test_a_body_is_required_where_an_empty_object_will_not_do() -> None:
    required = {
        operation.handler.__name__
        for operation in OPERATIONS
        if operation.body
        and operation_of(operation.method, operation.path)["requestBody"]["required"]
    }
    assert required == {
        "upload_telemetry",
        "send_file",
        "add_laps",
        "put_thresholds",
        "put_places",
        "share_with",
        "create_key",
        "create_webhook",
        "register_app",
        "register",
        "log_in",
        "change_password",
    }


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.example],
    ids=lambda one: one.handler.__name__,
)
def test_an_example_of_a_body_is_one_that_is_taken(operation: Operation) -> None:
    subject = Operations("", "", (operation,))
    described = document([subject], "0")["paths"][operation.path][operation.method.lower()]
    assert described["requestBody"]["content"][JSON]["example"] == operation.example
    taken = msgspec.json.decode(msgspec.json.encode(operation.example), type=operation.body[JSON])
    assert taken is not None


def test_a_parameter_s_default_and_bounds_are_published() -> None:
    listing = operation_of("GET", "/api/workouts")["parameters"]
    schemas = {one["name"]: one["schema"] for one in listing}
    assert (schemas["sort"]["default"], schemas["order"]["default"]) == ("startTime", "desc")
    assert schemas["order"]["$ref"] == "#/components/schemas/Order"
    power = schemas["minAvgPower"]
    assert (power["type"], power["minimum"], power["maximum"]) == ("number", 0, 10_000)


# Real answers against the schemas published for them.


def conforms(response: httpx2.Response, method: str, path: str) -> None:
    answers = operation_of(method, path)["responses"]
    content = answers[str(response.status_code)]["content"]
    schema = content[response.headers["content-type"].partition(";")[0]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [error.message for error in OAS31Validator(whole).iter_errors(response.json())]
    assert errors == []


def test_an_example_of_a_refusal_is_one_that_can_be_got(published: dict[str, Any]) -> None:
    """A parameter is always text, and where no body is read none can be an array."""
    refused = {
        (method, path): operation["responses"]["422"]["content"]["application/problem+json"]
        for path, item in published["paths"].items()
        for method, operation in item.items()
        if "422" in operation["responses"]
    }
    details = {each: answer["example"]["detail"] for each, answer in refused.items()}
    invented = ("must be text", "is an array")
    assert not [each for each, detail in details.items() if detail.endswith(invented)]
    resolution = details["get", "/api/workouts/{id}/telemetry"]
    assert resolution == "resolution: must be a whole number from 1 to 86400"
    keys, figures = details["get", "/api/keys"], details["get", "/api/workouts/{id}/figures"]
    assert keys == "start: no parameter has this name; there are none"
    assert figures == "start: no parameter has this name; did you mean `from`?"


def test_a_number_says_its_unit_unless_it_counts_something(published: dict[str, Any]) -> None:
    """That W′ is given in joules, while energy is in kilojoules, nobody can guess."""
    silent = {
        name
        for schema in published["components"]["schemas"].values()
        for name, member in schema.get("properties", {}).items()
        if re.search('"type":"(integer|number)"', text := msgspec.json.encode(member).decode())
        and '"description"' not in text
    }
    pages, batches = {"limit", "page", "total", "totalPages"}, {"accepted", "droppedCount"}
    counts = {"index", "sampleCount", "pending", "workouts", "members", "workers"}
    # Of a chart's channel, in the unit of that.
    assert silent <= {"status", "values", "low", "high"} | pages | batches | counts


def test_answers_conform_to_their_schemas(rider: Rider) -> None:
    workout, one = rider.start(title="A"), "/api/workouts/{id}"
    place = f"/api/workouts/{workout}"
    client = rider.client
    conforms(client.post("/api/workouts", json={}), "POST", "/api/workouts")
    conforms(rider.upload(workout, seconds_of(200, 60)), "POST", f"{one}/telemetry")
    lenient = {"Prefer": "handling=lenient"}
    conforms(
        rider.upload(workout, [{"timestamp": T0, "lat": 91}], headers=lenient),
        "POST",
        f"{one}/telemetry",
    )
    conforms(client.get(f"{place}/receipt"), "GET", f"{one}/receipt")
    for query in ({}, {"format": "columns"}, {"resolution": "5"}):
        conforms(client.get(f"{place}/telemetry", params=query), "GET", f"{one}/telemetry")
    conforms(client.get(place, params={"includeTelemetry": "true"}), "GET", one)
    conforms(client.post(f"{place}/pause"), "POST", f"{one}/pause")
    conforms(client.post(f"{place}/resume"), "POST", f"{one}/resume")
    conforms(client.post(f"{place}/complete"), "POST", f"{one}/complete")
    conforms(client.post(f"{place}/complete?wait=30"), "POST", f"{one}/complete")
    conforms(client.patch(place, json={"title": None}), "PATCH", one)
    for query in ({}, {"limit": "1"}):
        conforms(client.get("/api/workouts", params=query), "GET", "/api/workouts")
    conforms(client.delete(place), "DELETE", one)


@pytest.mark.parametrize(
    "operation",
    [
        one
        for one in OPERATIONS
        if one.method == "GET" and bytes not in one.answers.values() and "{token}" not in one.path
    ],
    ids=lambda one: one.path,
)
def test_everything_to_read_of_a_finished_ride_conforms(rider: Rider, operation: Operation) -> None:
    workout = rider.start(title="A", description="B")
    rider.client.put("/api/users/me/thresholds", json={"effectiveFrom": "2020-01-01", "ftp": 250})
    rider.upload(workout, seconds_of(200, 600))
    rider.complete(workout)
    path = operation.path.replace("{id}", workout)
    query = {"format": "json"} if path.endswith(f"{workout}/export") else {}
    conforms(rider.client.get(path, params=query), operation.method, operation.path)


def test_refusals_conform_to_their_schemas(rider: Rider) -> None:
    workout, one = rider.start(), "/api/workouts/{id}"
    conforms(rider.upload(workout, [{"timestamp": 1}]), "POST", f"{one}/telemetry")
    conforms(rider.upload(workout, "x"), "POST", f"{one}/telemetry")
    conforms(rider.client.post(f"/api/workouts/{workout}/resume"), "POST", f"{one}/resume")
    conforms(rider.client.get("/api/workouts?page=0"), "GET", "/api/workouts")
    conforms(rider.client.get("/api/workouts/0"), "GET", one)
    conforms(rider.client.patch(f"/api/workouts/{workout}", content=b"{"), "PATCH", one)


# The page that shows it.


def test_the_page_and_everything_it_names_come_from_here(service: str) -> None:
    page = httpx2.get(f"{service}/docs")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 5
    for path in named:
        assert path.startswith("/docs/")
        asset = httpx2.get(service + path)
        assert asset.status_code == 200
        assert asset.content


def test_the_page_names_no_outside_host(service: str) -> None:
    for path in ("/docs", "/docs/start.js"):
        assert "//" not in httpx2.get(service + path).text
    assert 'url: "/openapi.json"' in httpx2.get(f"{service}/docs/start.js").text


def test_every_group_of_operations_is_described_in_an_order_and_none_is_empty() -> None:
    used = {tag for operation in OPERATIONS for tag in described_tags(operation)}
    names = [tag["name"] for tag in document(SUBJECTS, "1")["tags"]]
    assert names == [
        *("accounts", "sessions", "sign-in", "keys", "apps", "workouts", "telemetry", "files"),
        *("figures", "records", "season", "athlete", "corrections", "live", "sharing"),
        *("athletes", "webhooks", "export", "health"),
    ]
    assert len(names) == len(set(names))
    assert set(names) == used


def described_tags(operation: Operation) -> list[str]:
    tags: list[str] = operation_of(operation.method, operation.path)["tags"]
    return tags
