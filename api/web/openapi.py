"""The OpenAPI 3.1 document, made from the operations and the types that validate their input."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from api.web import examples, problem_pages
from api.web.body import JSON
from api.web.problems import ProblemDocument, kinds_of_problems, type_of
from api.web.routing import ATHLETE, KEY_PATTERN, Operation, Operations
from api.web.schemas import Schema, Schemas

_TYPE_OF_PROBLEM: Final = "ProblemType"
_UNOPENED: Final = {
    HTTPStatus.UNAUTHORIZED: "No key, or one that does not open",
    HTTPStatus.FORBIDDEN: "The key lacks the scope",
}
_BUSY: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy or restarting; send the same again after Retry-After",
}
# Name → what it is, its schema, an example.
_PATH_PARAMETERS: Final[Mapping[str, tuple[str, Schema, str]]] = {
    "id": (
        "The workout's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000002",
    ),
    "key": ("The key's `id`", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "3f2a9c41d07be658"),
    "app": (
        "The app's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000005",
    ),
    "share": (
        "The share's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000004",
    ),
    "token": (
        "The end of a link, which opens it",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
        "Zb3Zl1sNq0vT8xJ5hWc2RkY7uPmE4aGdF9iLoXyVt6Q",
    ),
    "provider": (
        "The provider's `name`",
        {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"},
        "google",
    ),
    "athlete": (
        "The athlete's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000005",
    ),
    "upload": (
        "The upload's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000003",
    ),
    "webhook": (
        "The webhook's `id`",
        {"type": "string", "format": "uuid"},
        "01970000-0000-7000-8000-000000000005",
    ),
    "delivery": ("The delivery's `id`", {"type": "integer", "minimum": 1}, "1201"),
}
_BODY_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over the limit",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Another content type or encoding",
}
_NOT_AS_WRITTEN: Final = "A value is out of bounds, or a name not known; `errors` says where"
_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A new random UUID for what is to be made once: sent again with it within a day,"
    " the same request makes nothing more and gets the same answer, whatever it waits for. With"
    " another path or body it is 422; while the first one is under way, 409 with `Retry-After`; and"
    " where the key or link that it made was revoked since, 409 without its secret.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
    "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
}
_ATHLETE_PARAMETER: Final = {
    "name": ATHLETE,
    "in": "query",
    "description": "The `id` of an athlete who has let you in (`GET /api/athletes`): read that"
    " athlete's data instead of your own",
    "allowEmptyValue": True,
    "schema": {"type": "string", "format": "uuid"},
}
_NOT_LET_IN: Final = "No athlete who has let the caller in"
_KEY_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read, or `Idempotency-Key` is malformed",
    HTTPStatus.CONFLICT: "The first request with this `Idempotency-Key` is under way; or what it"
    " made was revoked since",
}
_ABOUT: Final = Path(__file__).with_name("introduction.md").read_text() + problem_pages.table()
# Name → what it says, its schema, whether it is always there.
_HEADERS: Final[Mapping[str, tuple[str, Mapping[str, Any], bool]]] = {
    "Cache-Control": ("A secret is not to be kept", {"const": "private, no-store"}, True),
    "ETag": ("Of this answer: send it as `If-None-Match`", {"type": "string"}, False),
    "Location": ("Where it is", {"type": "string", "format": "uri-reference"}, True),
    "Preference-Applied": ("What was done of `Prefer`", {"type": "string"}, False),
    "RateLimit": ("What is left of the samples of this minute", {"type": "string"}, True),
    "RateLimit-Policy": ("How many samples a minute", {"type": "string"}, True),
    "Retry-After": ("Seconds", {"type": "integer", "minimum": 1}, True),
    "Set-Cookie": ("Binds what was begun to the browser", {"type": "string"}, True),
    "WWW-Authenticate": ("How to", {"type": "string"}, True),
}
_ONE_KEY: Final = (
    "A session or an API key. Either box is enough: both take the same key, in another header."
)
_KEPT: Final = ("ETag",)
_IF_NONE_MATCH: Final = (
    "The `ETag` of an answer that is held already: 304, without a body, if it is so still"
)
_HEADERS_OF_REFUSALS: Final = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
}

# Of what webhooks are sent.
_MESSAGE_HEADERS: Final[Mapping[str, Any]] = {
    "webhook-id": {"description": "The same whenever it is sent", "schema": {"type": "string"}},
    "webhook-timestamp": {"description": "Unix seconds", "schema": {"type": "integer"}},
    "webhook-signature": {"description": "By Standard Webhooks", "schema": {"type": "string"}},
}


def openapi_json(subjects: Sequence[Operations], version: str) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(subjects, version))


def document(subjects: Sequence[Operations], version: str) -> dict[str, Any]:
    """The document as builtin types."""
    operations = [each for subject in subjects for each in subject.operations]
    messages = {name: kind for each in subjects for name, kind in each.messages.items()}
    schemas = _schemas(operations, messages.values())
    paths: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        for operation in subject.operations:
            described = _describe(operation, subject.tag, schemas)
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
            if operation.makes:
                links = _links(*operation.makes, operations)
                for status in operation.answers:
                    described["responses"][str(status.value)]["links"] = links
    _name_kinds_of_problems(schemas.components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bike Power Tracker",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags(subjects),
        "paths": paths,
        "webhooks": {name: _message(name, kind, schemas) for name, kind in messages.items()},
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": _ONE_KEY},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": _ONE_KEY,
                },
            },
        },
    }


def _name_kinds_of_problems(components: dict[str, Schema]) -> None:
    """The `type` of problems is one of the addresses of their kinds."""
    addresses = sorted(map(type_of, kinds_of_problems().values()))
    components[_TYPE_OF_PROBLEM] = {"type": "string", "enum": addresses, "title": _TYPE_OF_PROBLEM}
    for each in components.values():
        if "error" in each.get("properties", {}):
            about = each["properties"]["type"]["description"]
            reference = f"#/components/schemas/{_TYPE_OF_PROBLEM}"
            each["properties"]["type"] = {"$ref": reference, "description": about}


def _tags(subjects: Iterable[Operations]) -> list[dict[str, str]]:
    """Each tag once, with what the first subject of that name says about it."""
    about: dict[str, str] = {}
    for subject in subjects:
        about.setdefault(subject.tag, subject.about)
    return [{"name": tag, "description": text} for tag, text in about.items()]


def _message(event: str, kind: Any, schemas: Schemas) -> dict[str, Any]:
    """What is sent to a webhook when something happens."""
    about, _, _ = (inspect.getdoc(kind) or "").partition("\n")
    headers = [
        {"name": name, "in": "header", "required": True, **told}
        for name, told in _MESSAGE_HEADERS.items()
    ]
    asked = {
        "operationId": "on_" + event.replace(".", "_"),
        "summary": about,
        "parameters": headers,
        "requestBody": {"required": True, "content": {JSON: {"schema": schemas.of(kind)}}},
        "responses": {"2XX": {"description": "Taken: it is not sent again"}},
    }
    return {"post": asked}


def _schemas(operations: Iterable[Operation], messages: Iterable[Any]) -> Schemas:
    operations = list(operations)
    return Schemas(
        [
            ProblemDocument,
            *(kind for each in operations for kind in each.problems.values()),
            *(kind for each in operations for kind in each.answers.values() if kind),
            *messages,
        ],
        [kind for each in operations for kind in each.body.values()],
        dict.fromkeys(each.query for each in operations if each.query),
        closed=[kind for each in operations if not each.is_open for kind in each.body.values()],
    )


def _describe(operation: Operation, tag: str, schemas: Schemas) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "tags": [tag],
        "summary": summary,
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, schemas),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body:
        described["requestBody"] = _request_body(operation, schemas)
    if operation.scope:
        described["security"] = [
            {kind: [scope]} for scope in operation.scopes for kind in ("bearer", "apiKey")
        ]
        described["description"] = (
            described.get("description", "") + f" Needs the scope {_named(operation)}."
        ).strip()
    return described


def _named(operation: Operation) -> str:
    return " or ".join(f"`{scope}`" for scope in operation.scopes)


def _request_body(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    return {
        "description": "May be sent gzipped, with `Content-Encoding: gzip`.",
        "required": any(_needs_members(kind) for kind in operation.body.values()),
        "content": {
            media: {"schema": schemas.of(kind), "example": examples.of_request(operation, media)}
            for media, kind in operation.body.items()
        },
    }


def _needs_members(kind: Any) -> bool:
    """Whether a body is required: an empty one is read as an empty object."""
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return not is_struct or any(field.required for field in msgspec.structs.fields(kind))


def _links(name: str, place: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """OpenAPI links from a create operation to those that take the new id."""
    return {
        operation.handler.__name__: {
            "operationId": operation.handler.__name__,
            "parameters": {name: place},
        }
        for operation in operations
        if f"{{{name}}}" in operation.path
    }


def _parameters(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name, (about, schema, example) in _PATH_PARAMETERS.items():
        if f"{{{name}}}" in operation.path:
            told = {"description": about, "schema": schema, "example": example}
            parameters.append({"name": name, "in": "path", "required": True, **told})
    if operation.query:
        parameters += _query_parameters(schemas.parameters(operation.query))
    if operation.takes_athlete:
        parameters.append(_ATHLETE_PARAMETER)
    if operation.prefer:
        parameters.append(_header("Prefer", operation.prefer))
    if operation.takes_key:
        parameters.append(_KEY_PARAMETER)
    if operation.is_revalidated:
        parameters.append(_header("If-None-Match", _IF_NONE_MATCH))
    return parameters


def _header(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}


def _query_parameters(schemas: Mapping[str, Schema]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "description": schema["description"],
            "allowEmptyValue": True,  # as if it were not there
            "schema": {key: each for key, each in schema.items() if key != "description"},
        }
        for name, schema in schemas.items()
    ]


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        content = {} if kind is None else _content(operation, status, schemas)
        headers = _headers(operation.headers)
        if operation.is_revalidated and status is HTTPStatus.OK:
            headers |= _headers(_KEPT)
        described = {"description": status.phrase, "headers": headers, "content": content}
        responses[str(status.value)] = described
    if operation.is_revalidated:
        responses["304"] = {"description": "As it was", "headers": _headers(_KEPT), "content": {}}
    for status, meaning in _refusals(operation).items():
        schema = schemas.of(operation.problems.get(status, ProblemDocument))
        example = examples.of_problem(operation, status, meaning)
        headers = _headers(_HEADERS_OF_REFUSALS.get(status, ()))
        content = {examples.PROBLEM: {"schema": schema, "example": example}}
        described = {"description": meaning, "headers": headers, "content": content}
        responses.setdefault(str(status.value), described)
    return responses


def _content(operation: Operation, status: HTTPStatus, schemas: Schemas) -> dict[str, Any]:
    """Content type → schema and example; what is neither JSON nor text is bytes."""
    kind, described = operation.answers[status], {}
    for media in (each.partition(";")[0] for each in operation.media):
        schema = schemas.of(kind) if media == JSON else _schema_of_media(media)
        example = examples.of_answer(operation, status, media)
        shown = {} if example is None else {"example": example}
        described[media] = {"schema": schema, **shown}
    return described


def _schema_of_media(media: str) -> dict[str, str]:
    is_text = media.startswith("text/")
    return {"type": "string"} if is_text else {"type": "string", "format": "binary"}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {
        name: {"description": about, "schema": schema, "required": required}
        for name, (about, schema, required) in ((name, _HEADERS[name]) for name in names)
    }


def _refusals(operation: Operation) -> dict[HTTPStatus, str]:
    refusals: dict[HTTPStatus, str] = {}
    if operation.scope:
        refusals |= _UNOPENED
    if operation.scope or operation.body:
        refusals |= _BUSY
    if operation.body:
        refusals |= _BODY_REFUSALS
    if not operation.is_open or operation.body:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = _NOT_AS_WRITTEN
    if operation.takes_athlete:
        refusals[HTTPStatus.NOT_FOUND] = _NOT_LET_IN
    if "{" in operation.path:
        refusals[HTTPStatus.NOT_FOUND] = "Absent, or another user's"
    if operation.takes_key:
        refusals |= _KEY_REFUSALS
    return {**refusals, **operation.refusals}
