"""The OpenAPI 3.1 document, made from the table of operations and the types that validate."""

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from api.export.account import export_account
from api.identity.accounts import change_password, register
from api.identity.keys import create_key, rotate_key
from api.identity.profile import update_rider
from api.identity.sessions import log_in, log_out
from api.identity.sign_in import finish_sign_in, start_sign_in
from api.ingest.uploads import upload_telemetry
from api.season.thresholds import put_thresholds
from api.web.body import JSON
from api.web.problems import ProblemDocument
from api.web.routing import OPERATIONS, Operation
from api.workouts.routes import (
    complete_workout,
    create_workout,
    pause_workout,
    resume_workout,
    update_workout,
)
from api.workouts.telemetry import Telemetry

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
_UNOPENED: Final = {
    HTTPStatus.UNAUTHORIZED: "No key, or one that does not open",
    HTTPStatus.FORBIDDEN: "The key lacks the scope",
}
_BUSY: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy or restarting; send the same again after Retry-After",
}
# What there is already may not allow it.
_CONFLICTING: Final = (
    pause_workout,
    resume_workout,
    complete_workout,
    create_key,
    rotate_key,
    register,
    log_out,
)
# What is counted, so that it may be 429.
_COUNTED: Final[Mapping[Any, str]] = {
    upload_telemetry: "The key's samples of this minute are used up",
    export_account: "An export of the caller's is under way",
    log_in: "Tried too often; wait for Retry-After",
    register: "Tried too often; wait for Retry-After",
    change_password: "Changed too often; wait for Retry-After",
    start_sign_in: "Tried too often; wait for Retry-After",
    finish_sign_in: "Tried too often; wait for Retry-After",
}
_NO_PROVIDER: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The provider does not answer; begin again after Retry-After",
}
_REFUSALS_OF: Final[Mapping[Any, Mapping[HTTPStatus, str]]] = {
    log_in: {HTTPStatus.UNAUTHORIZED: "The email address or the password is wrong"},
    register: {HTTPStatus.FORBIDDEN: "No new accounts, or only by invitation"},
    start_sign_in: _NO_PROVIDER,
    finish_sign_in: {
        **_NO_PROVIDER,
        HTTPStatus.BAD_REQUEST: "It was not begun in this browser, or is over",
        HTTPStatus.UNAUTHORIZED: "The provider's proof does not hold",
        HTTPStatus.FORBIDDEN: "The provider or this service does not let the rider in",
        HTTPStatus.CONFLICT: "Another account has the email address",
    },
}
_PATH_PARAMETERS: Final = {
    "id": {"type": "string", "format": "uuid"},
    "key": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "provider": {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"},
}
_BODY_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over the limit",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Another content type or encoding",
}
# What somebody might send; a page that makes bodies of schemas alone would offer nonsense.
_EXAMPLES: Final[Mapping[Any, Any]] = {
    register: {"email": "me@example.com", "password": "four words of mine", "displayName": "Me"},
    log_in: {"email": "me@example.com", "password": "four words of mine"},
    change_password: {"password": "four other words"},
    create_key: {"name": "head unit", "scopes": ["upload"]},
    create_workout: {"title": "Evening ride"},
    update_workout: {"title": "Evening ride"},
    upload_telemetry: {
        "samples": [
            {"timestamp": 1_700_000_000_000, "power": 210, "cadence": 90},
            {"timestamp": 1_700_000_001_000, "power": 214, "heartrate": 131},
        ]
    },
    update_rider: {"displayName": "Me", "timeZone": "Europe/Zurich"},
    put_thresholds: {"effectiveFrom": "2026-01-01", "ftp": 250},
}
# For a stranger who has nothing but this document.
# In the order in which a stranger needs them.
_TAGS: Final = {
    "accounts": "Register, change the password, delete everything",
    "sessions": "Log in and out",
    "sign_in": "By an OpenID provider",
    "keys": "For devices and programs",
    "workouts": "Rides: start, list, change, end",
    "uploads": "Send samples",
    "telemetry": "Read samples, and what is held of them",
    "records": "Bests and power curves",
    "season": "Figures over many rides",
    "riders": "The profile, and the figures that rides are judged by",
    "export": "Take everything along",
    "health": "For load balancers",
}
_TAG_OF: Final = {
    "api.export.account": "export",
    "api.health.routes": "health",
    "api.identity.profile": "riders",
    "api.season.thresholds": "riders",
    "api.season.totals": "season",
    "api.workouts.routes": "workouts",
}
_ABOUT: Final = Path(__file__).with_name("introduction.md").read_text()
# Name → what it says, its schema, whether it is always there.
_HEADERS: Final[Mapping[str, tuple[str, Mapping[str, Any], bool]]] = {
    "Cache-Control": ("A secret is not to be kept", {"const": "no-store"}, True),
    "Location": ("Where it is", {"type": "string", "format": "uri-reference"}, True),
    "Preference-Applied": ("What was done of `Prefer`", {"type": "string"}, False),
    "RateLimit": ("What is left of the samples of this minute", {"type": "string"}, True),
    "RateLimit-Policy": ("How many samples a minute", {"type": "string"}, True),
    "Retry-After": ("Seconds", {"type": "integer", "minimum": 1}, True),
    "Set-Cookie": ("Binds what was begun to the browser", {"type": "string"}, True),
    "WWW-Authenticate": ("How to", {"type": "string"}, True),
}
_QUOTA: Final = ("RateLimit", "RateLimit-Policy")
_HEADERS_OF_ANSWERS: Final[Mapping[Any, tuple[str, ...]]] = {
    complete_workout: ("Preference-Applied",),
    create_key: ("Cache-Control",),
    create_workout: ("Location",),
    log_in: ("Cache-Control",),
    register: ("Location",),
    rotate_key: ("Cache-Control",),
    start_sign_in: ("Location", "Set-Cookie"),
    finish_sign_in: ("Cache-Control",),
    upload_telemetry: _QUOTA,
}
_HEADERS_OF_REFUSALS: Final = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
}
# What an operation makes: the name it has in paths, and where the answer says it.
_MADE: Final = {
    create_workout: ("id", "$response.body#/workout/id"),
    create_key: ("key", "$response.body#/key/id"),
    rotate_key: ("key", "$response.body#/key/id"),
}


@cache
def openapi_json(version: str) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(OPERATIONS, version))


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The document as builtin types."""
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        described = item[operation.method.lower()] = _describe(operation, schemas)
        if operation.handler in _MADE:
            made = described["responses"][str(HTTPStatus.CREATED.value)]
            made["links"] = _links(*_MADE[operation.handler], operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bike Power Tracker",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


class _Schemas:
    """The JSON Schema of every type that the operations name."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        types: list[Any] = [ProblemDocument]
        for operation in operations:
            types += [*filter(None, operation.answers.values()), *operation.body.values()]
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        # By position: a union such as Batch | list[Sample] cannot be a key.
        self._known = list(zip(types, schemas, strict=True))

    def of(self, kind: Any) -> Mapping[str, Any]:
        return next(schema for known, schema in self._known if known == kind)


def _describe(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "tags": [_tag(operation)],
        "summary": summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body:
        described["requestBody"] = _request_body(operation, schemas)
    if operation.scope:
        described["security"] = [{"bearer": [operation.scope]}, {"apiKey": [operation.scope]}]
        described["description"] = (
            described.get("description", "") + f" Needs the scope `{operation.scope}`."
        ).strip()
    return described


def _tag(operation: Operation) -> str:
    module: str = operation.handler.__module__
    return _TAG_OF.get(module, module.rpartition(".")[2])


def _request_body(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    handler = operation.handler
    example = {"example": _EXAMPLES[handler]} if handler in _EXAMPLES else {}
    return {
        "description": "May be sent gzipped, with `Content-Encoding: gzip`.",
        "required": any(_needs_members(kind) for kind in operation.body.values()),
        "content": {
            media: {"schema": schemas.of(kind), **(example if media == JSON else {})}
            for media, kind in operation.body.items()
        },
    }


def _needs_members(kind: Any) -> bool:
    """Whether an empty body, which is read as an empty object, will not do."""
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return not is_struct or any(field.required for field in msgspec.structs.fields(kind))


def _links(name: str, place: str, operations: tuple[Operation, ...]) -> dict[str, Any]:
    """What can be done with what was made."""
    return {
        operation.handler.__name__: {
            "operationId": operation.handler.__name__,
            "parameters": {name: place},
        }
        for operation in operations
        if f"{{{name}}}" in operation.path
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name, schema in _PATH_PARAMETERS.items():
        if f"{{{name}}}" in operation.path:
            parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if operation.query:
        parameters += _query_parameters(operation.query)
    if operation.prefer:
        parameters.append(
            {
                "name": "Prefer",
                "in": "header",
                "description": operation.prefer,
                "schema": {"type": "string"},
            }
        )
    return parameters


def _query_parameters(kind: type) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    properties: dict[str, Any] = components[kind.__name__]["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "allowEmptyValue": True,  # as if it were not there
            "schema": _inline(schema, components),
        }
        for name, schema in properties.items()
    ]


def _inline(schema: Any, components: Mapping[str, Any]) -> Any:
    """A schema without references: a query's types are not among the document's components."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            named = components[schema["$ref"].rpartition("/")[2]]
            said_here = {name: value for name, value in schema.items() if name != "$ref"}
            return {**_inline(named, components), **said_here}
        return {name: _inline(value, components) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inline(item, components) for item in schema]
    return schema


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        content = _content(kind, schemas)
        headers = _headers(_HEADERS_OF_ANSWERS.get(operation.handler, ()))
        described = {"description": status.phrase, "headers": headers, "content": content}
        responses[str(status.value)] = described
    problem = {_PROBLEM: {"schema": schemas.of(ProblemDocument)}}
    for status, meaning in _refusals(operation).items():
        headers = _headers(_HEADERS_OF_REFUSALS.get(status, ()))
        described = {"description": meaning, "headers": headers, "content": problem}
        responses.setdefault(str(status.value), described)
    return responses


def _content(kind: Any, schemas: _Schemas) -> dict[str, Any]:
    """Content type → schema. None: no content; bytes: the export."""
    if kind is None:
        return {}
    if kind is bytes:
        return {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    content: dict[str, Any] = {"application/json": {"schema": schemas.of(kind)}}
    if kind is Telemetry:
        content["text/csv"] = {"schema": {"type": "string"}}
    return content


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {
        name: {"description": about, "schema": schema, "required": required}
        for name, (about, schema, required) in ((name, _HEADERS[name]) for name in names)
    }


def _refusals(operation: Operation) -> dict[HTTPStatus, str]:
    refusals = dict(_REFUSALS_OF.get(operation.handler, {}))
    if operation.scope:
        refusals |= _UNOPENED
    if operation.scope or operation.body:
        refusals |= _BUSY
    if operation.body:
        refusals |= _BODY_REFUSALS
    if operation.body or operation.query:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = "A value is out of bounds; `errors` says where"
    if operation.handler in _COUNTED:
        refusals[HTTPStatus.TOO_MANY_REQUESTS] = _COUNTED[operation.handler]
    if "{" in operation.path:
        refusals[HTTPStatus.NOT_FOUND] = "Absent, or another user's"
    if operation.handler in _CONFLICTING:
        refusals[HTTPStatus.CONFLICT] = "What there is already does not allow it"
    return refusals
