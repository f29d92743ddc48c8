"""The OpenAPI 3.1 document, made from the operations and the types that validate their input."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from api.web import problem_pages
from api.web.body import JSON
from api.web.problems import ProblemDocument
from api.web.routing import Operation, Operations

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
_UNOPENED: Final = {
    HTTPStatus.UNAUTHORIZED: "No key, or one that does not open",
    HTTPStatus.FORBIDDEN: "The key lacks the scope",
}
_BUSY: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy or restarting; send the same again after Retry-After",
}
_PATH_PARAMETERS: Final = {
    "id": {"type": "string", "format": "uuid"},
    "key": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "share": {"type": "string", "format": "uuid"},
    "token": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
    "provider": {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"},
    "upload": {"type": "string", "format": "uuid"},
}
_BODY_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over the limit",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Another content type or encoding",
}
_ABOUT: Final = Path(__file__).with_name("introduction.md").read_text() + problem_pages.table()
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
_HEADERS_OF_REFUSALS: Final = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
}


def openapi_json(subjects: Sequence[Operations], version: str) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(subjects, version))


def document(subjects: Sequence[Operations], version: str) -> dict[str, Any]:
    """The document as builtin types."""
    operations = [each for subject in subjects for each in subject.operations]
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        for operation in subject.operations:
            described = _describe(operation, subject.tag, schemas)
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
            if operation.makes:
                links = _links(*operation.makes, operations)
                for status in operation.answers:
                    described["responses"][str(status.value)]["links"] = links
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
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _tags(subjects: Iterable[Operations]) -> list[dict[str, str]]:
    """Each tag once, with what the first subject of that name says about it."""
    about: dict[str, str] = {}
    for subject in subjects:
        about.setdefault(subject.tag, subject.about)
    return [{"name": tag, "description": text} for tag, text in about.items()]


class _Schemas:
    """The JSON Schema of every type that the operations name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        types: list[Any] = [ProblemDocument]
        for operation in operations:
            types += [*filter(None, operation.answers.values()), *operation.body.values()]
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        # By position: a union such as Batch | list[Sample] cannot be a key.
        self._known = list(zip(types, schemas, strict=True))
        for operation in operations:
            if not operation.is_open:
                self._close([self.of(kind) for kind in operation.body.values()])

    def _close(self, schema: Any) -> None:
        """Say of every object of a body that it takes no other members than those named."""
        if isinstance(schema, list):
            for each in schema:
                self._close(each)
        elif isinstance(schema, dict):
            named = self.components.get(schema.get("$ref", "").rpartition("/")[2])
            if named is None:
                self._close(list(schema.values()))
            elif "properties" in named and "additionalProperties" not in named:
                named["additionalProperties"] = False
                self._close(list(named["properties"].values()))

    def of(self, kind: Any) -> Mapping[str, Any]:
        return next(schema for known, schema in self._known if known == kind)


def _describe(operation: Operation, tag: str, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "tags": [tag],
        "summary": summary,
        "parameters": _parameters(operation),
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


def _request_body(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    example = {} if operation.example is None else {"example": operation.example}
    return {
        "description": "May be sent gzipped, with `Content-Encoding: gzip`.",
        "required": any(_needs_members(kind) for kind in operation.body.values()),
        "content": {
            media: {"schema": schemas.of(kind), **(example if media == JSON else {})}
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
        content = {} if kind is None else _content(kind, operation.media, schemas)
        headers = _headers(operation.headers)
        described = {"description": status.phrase, "headers": headers, "content": content}
        responses[str(status.value)] = described
    problem = {_PROBLEM: {"schema": schemas.of(ProblemDocument)}}
    for status, meaning in _refusals(operation).items():
        headers = _headers(_HEADERS_OF_REFUSALS.get(status, ()))
        described = {"description": meaning, "headers": headers, "content": problem}
        responses.setdefault(str(status.value), described)
    return responses


def _content(kind: Any, media: Iterable[str], schemas: _Schemas) -> dict[str, Any]:
    """Content type → schema; what is neither JSON nor text is bytes."""
    return {
        each: {"schema": schemas.of(kind) if each == JSON else _schema_of_media(each)}
        for each in media
    }


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
    if operation.body or operation.query:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = "A value is out of bounds; `errors` says where"
    if "{" in operation.path:
        refusals[HTTPStatus.NOT_FOUND] = "Absent, or another user's"
    return {**refusals, **operation.refusals}
