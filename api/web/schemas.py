"""The JSON Schema of every type that the operations name, shaped so that clients are made of it.

What msgspec makes is right, and generators of clients stumble over it: over a default that is null,
members that are always there without being required, and listed values that have no name.
"""

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

_PREFIX: Final = "#/components/schemas/"
_NULL: Final = {"type": "null"}
Schema = dict[str, Any]


class Schemas:
    """The schema of each type, and the ``components`` that schemas refer to.

    ``answers`` and ``bodies``: the types of what is sent back, and taken; ``queries``: those with a
    member for each parameter; ``closed``: the bodies that take no members but those named. A
    Literal whose `Meta` has a title is a component of that name.
    """

    def __init__(
        self,
        answers: Iterable[Any],
        bodies: Iterable[Any],
        queries: Iterable[type],
        closed: Collection[Any] = (),
    ) -> None:
        answers, bodies, queries = list(answers), list(bodies), list(queries)
        types = [*answers, *bodies, *queries]
        schemas, found = msgspec.json.schema_components(types, ref_template=_PREFIX + "{name}")
        # By position: a union such as Batch | list[Sample] cannot be a key.
        known = list(zip(types, schemas, strict=True))
        asked = {kind: found.pop(_name_of(schema)) for kind, schema in known if kind in queries}
        taken = _names_within([schema for kind, schema in known if kind in bodies], found)
        self.components: dict[str, Schema] = {}
        self._take(found, taken | _names_omitting(types))
        self._close([schema for kind, schema in known if kind in closed])
        self._known = [(kind, self._shaped(schema)) for kind, schema in known]
        self._parameters = {kind: self._parameters_of(schema) for kind, schema in asked.items()}

    def of(self, kind: Any) -> Schema:
        """The schema of one of the types."""
        return next(schema for known, schema in self._known if known == kind)

    def parameters(self, kind: type) -> Mapping[str, Schema]:
        """Name → schema of each parameter of a query."""
        return self._parameters[kind]

    def _take(self, found: Mapping[str, Schema], partial: Collection[str]) -> None:
        """Shape the components; those that are not partial have each of their members."""
        for name, schema in found.items():
            whole = schema if name in partial else _all_required(schema)
            self.components[name] = self._shaped(whole, is_component=True)

    def _close(self, bodies: Sequence[Schema]) -> None:
        """Say of every object of these bodies that it takes no other members."""
        for name in _names_within(bodies, self.components):
            if "properties" in self.components[name]:
                self.components[name].setdefault("additionalProperties", False)

    def _parameters_of(self, schema: Schema) -> dict[str, Schema]:
        """None of them can be null; their defaults stay, as no generator requires them for it."""
        described = {}
        for name, each in schema["properties"].items():
            default = each.pop("default", None)
            shaped = self._shaped(_not_null(each))
            described[name] = shaped if default is None else {**shaped, "default": default}
        return described

    def _shaped(self, schema: Any, *, is_component: bool = False) -> Any:
        """Without defaults, and with a component for each list of values that has a name."""
        if isinstance(schema, list):
            return [self._shaped(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        shaped = {name: self._shaped(each) for name, each in _told(schema).items()}
        if isinstance(shaped.get("description"), str):
            shaped["description"] = inspect.cleandoc(shaped["description"])
        if isinstance(shaped.get("enum"), list):
            shaped = {"type": "string", **shaped}
            return shaped if is_component or "title" not in shaped else self._named(shaped)
        return shaped

    def _named(self, values: Schema) -> Schema:
        """A reference to the values, with what is said of them here."""
        name, about = values["title"], values.pop("description", None)
        self.components[name] = values
        return {"$ref": _PREFIX + name, **({"description": about} if about else {})}


def _told(schema: Schema) -> Schema:
    """Without its default: in words, where it is none of null and nothing.

    Generators of TypeScript take a member with a default for one that is always there.
    """
    if "default" not in schema or "properties" in schema:
        return schema
    told = {name: each for name, each in schema.items() if name != "default"}
    if schema["default"] not in (None, [], {}, False):
        default = msgspec.json.encode(schema["default"]).decode().strip('"')
        about = [told.get("description"), f"By default `{default}`."]
        told["description"] = " ".join(filter(None, about))
    return told


def _all_required(schema: Schema) -> Schema:
    """Of an answer, which has every member but those that may be unset."""
    if "properties" not in schema:
        return schema
    optional = set(schema["properties"]) - set(schema["required"])
    always = {name for name in optional if "default" in schema["properties"][name]}
    members = {
        name: {key: value for key, value in each.items() if key != "default"}
        for name, each in schema["properties"].items()
    }
    required = [name for name in members if name in always or name in schema["required"]]
    return {**schema, "properties": members, "required": required}


def _not_null(schema: Schema) -> Schema:
    kinds = [each for each in schema.get("anyOf", []) if each != _NULL]
    if len(kinds) == 1:
        rest = {name: each for name, each in schema.items() if name != "anyOf"}
        return {**kinds[0], **rest}
    return {**schema, "anyOf": kinds} if kinds else schema


def _name_of(schema: Schema) -> str:
    return str(schema.get("$ref", "")).removeprefix(_PREFIX)


def _names_within(schema: Any, components: Mapping[str, Schema]) -> set[str]:
    """The components that the schema refers to, and those that they refer to in turn."""
    names: set[str] = set()
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            name = _name_of(each)
            if name in components and name not in names:
                names.add(name)
                waiting.append(components[name])
    return names


def _names_omitting(types: Iterable[Any]) -> set[str]:
    """The Structs that are encoded without the members that are as by default."""
    return {kind.__name__ for kind in _structs_of(types) if kind.__struct_config__.omit_defaults}


def _structs_of(types: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """Every Struct among the types, and within them."""
    seen: set[Any] = set()
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(types))
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple):
            waiting += each
        elif isinstance(each, msgspec.Struct):
            kind = getattr(each, "cls", None)
            if kind not in seen:
                waiting += [getattr(each, name) for name in each.__struct_fields__]
            if isinstance(each, msgspec.inspect.StructType) and kind not in seen:
                seen.add(kind)
                yield each.cls
