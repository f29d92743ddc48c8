"""The OpenAPI 3.1 document, made from the table of operations and the types that validate."""

import inspect
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from api.keys import create_key
from api.operations import OPERATIONS, Operation
from api.problems import ProblemDocument
from api.telemetry import Telemetry
from api.uploads import upload_telemetry

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
_REFUSALS: Final = {
    HTTPStatus.UNAUTHORIZED: "No key, or one that does not open",
    HTTPStatus.FORBIDDEN: "The key lacks the scope",
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy or restarting; send the same again after Retry-After",
}
_CONFLICTING: Final = ("/pause", "/resume", "/complete")
_PATH_PARAMETERS: Final = {
    "id": {"type": "string", "format": "uuid"},
    "key": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_BODY_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over the limit",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Another content type or encoding",
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
        item[operation.method.lower()] = _describe(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bike Power Tracker",
            "version": version,
            "description": "Upload power telemetry, live or afterwards; read trustworthy figures.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
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
            types += [*operation.answers.values(), *operation.body.values()]
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        # By position: a union such as Batch | list[Sample] cannot be a key.
        self._known = list(zip(types, schemas, strict=True))

    def of(self, kind: Any) -> Mapping[str, Any]:
        return next(schema for known, schema in self._known if known == kind)


def _describe(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "tags": [operation.handler.__module__.rpartition(".")[2]],
        "summary": summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body:
        content = {media: {"schema": schemas.of(kind)} for media, kind in operation.body.items()}
        described["requestBody"] = {"content": content}
    if operation.scope:
        described["security"] = [{"bearer": []}, {"apiKey": []}]
        described["description"] = (
            described.get("description", "") + f" Needs the scope `{operation.scope}`."
        ).strip()
    return described


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
        {"name": name, "in": "query", "schema": _inline(schema, components)}
        for name, schema in properties.items()
    ]


def _inline(schema: Any, components: Mapping[str, Any]) -> Any:
    """A schema without references: a query's types are not among the document's components."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inline(components[schema["$ref"].rpartition("/")[2]], components)
        return {name: _inline(value, components) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inline(item, components) for item in schema]
    return schema


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        content: dict[str, Any] = {"application/json": {"schema": schemas.of(kind)}}
        if kind is Telemetry:
            content["text/csv"] = {"schema": {"type": "string"}}
        responses[str(status.value)] = {"description": status.phrase, "content": content}
    problem = {_PROBLEM: {"schema": schemas.of(ProblemDocument)}}
    for status, meaning in _refusals(operation).items():
        responses.setdefault(str(status.value), {"description": meaning, "content": problem})
    return responses


def _refusals(operation: Operation) -> dict[HTTPStatus, str]:
    refusals = dict(_REFUSALS) if operation.scope else {}
    if operation.body:
        refusals |= _BODY_REFUSALS
    if operation.body or operation.query:
        refusals[HTTPStatus.UNPROCESSABLE_ENTITY] = "A value is out of bounds; `errors` says where"
    if operation.handler is upload_telemetry:
        refusals[HTTPStatus.TOO_MANY_REQUESTS] = "The key's samples of this minute are used up"
    if "{" in operation.path:
        refusals[HTTPStatus.NOT_FOUND] = "Absent, or another user's"
    if operation.path.endswith(_CONFLICTING) or operation.handler is create_key:
        refusals[HTTPStatus.CONFLICT] = "What there is already does not allow it"
    return refusals
