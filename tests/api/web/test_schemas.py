"""Schemas that generators of clients understand."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.app import SUBJECTS
from api.web.openapi import document
from api.web.schemas import Schemas

DOCUMENT = document(SUBJECTS, "1")
Colour = Annotated[Literal["red", "green"], Meta(title="Colour")]


class Bicycle(Struct):
    """A bicycle.

    It has a colour.
    """

    colour: Colour
    gears: int | None = None
    wheels: int = 2
    owner: str | UnsetType = UNSET


class Bell(Struct, omit_defaults=True):
    """Left out where it is the usual one."""

    colour: Colour = "red"


class Wanted(Struct):
    """Which bicycles."""

    colour: Colour | None = None
    wheels: int = 2


def schema_of(answers: list[Any], bodies: list[Any], name: str) -> dict[str, Any]:
    return Schemas(answers, bodies, []).components[name]


def test_a_member_with_a_default_is_always_in_an_answer() -> None:
    assert schema_of([Bicycle], [], "Bicycle")["required"] == ["colour", "gears", "wheels"]


def test_a_member_with_a_default_may_be_left_out_of_a_body_and_of_what_is_both() -> None:
    assert schema_of([], [Bicycle], "Bicycle")["required"] == ["colour"]
    assert schema_of([Bicycle], [list[Bicycle]], "Bicycle")["required"] == ["colour"]
    assert schema_of([Bell], [], "Bell")["required"] == []


def test_a_default_is_told_in_words_as_generators_require_a_member_that_has_one() -> None:
    members = schema_of([], [Bicycle], "Bicycle")["properties"]
    assert members["wheels"] == {"type": "integer", "description": "By default `2`."}
    assert members["gears"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}


def test_values_with_a_name_are_one_component_wherever_they_are_listed() -> None:
    schemas = Schemas([Bicycle], [Bell], [Wanted])
    reference = {"$ref": "#/components/schemas/Colour"}
    assert schemas.components["Bicycle"]["properties"]["colour"] == reference
    assert schemas.parameters(Wanted)["colour"] == reference
    assert schemas.components["Colour"]["enum"] == ["green", "red"]
    assert schemas.components["Colour"]["type"] == "string"


def test_a_parameter_is_never_null_and_keeps_its_default() -> None:
    parameters = Schemas([], [], [Wanted]).parameters(Wanted)
    assert parameters["wheels"] == {"type": "integer", "default": 2}
    assert "Wanted" not in Schemas([], [], [Wanted]).components


def test_a_description_is_not_indented_as_its_docstring_is() -> None:
    described = schema_of([Bicycle], [], "Bicycle")["description"]
    assert described == "A bicycle.\n\nIt has a colour."


# Of the whole document.


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from parts_of(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from parts_of(each)


def test_no_member_has_a_default_and_no_parameter_that_of_null() -> None:
    members = [
        each
        for part in parts_of(DOCUMENT["components"])
        for each in part.get("properties", {}).values()
    ]
    assert len(members) > 300
    assert [each for each in members if "default" in each] == []
    assert [part for part in parts_of(DOCUMENT["paths"]) if part.get("default", 0) is None] == []


def test_every_list_of_values_has_a_name() -> None:
    listed = [
        name
        for name, component in DOCUMENT["components"]["schemas"].items()
        for part in parts_of(component)
        if "enum" in part and part is not component
    ]
    assert listed == []
    assert [part for part in parts_of(DOCUMENT["paths"]) if "enum" in part] == []


def test_every_array_and_object_says_what_it_holds() -> None:
    parts = list(parts_of(DOCUMENT))
    assert [part for part in parts if part.get("type") == "array" and "items" not in part] == []
    open_ = [
        part
        for part in parts
        if part.get("type") == "object" and not {"properties", "additionalProperties"} & set(part)
    ]
    assert open_ == []


def test_every_moment_is_a_date_time() -> None:
    members = {
        name: member
        for part in parts_of(DOCUMENT["components"])
        for name, member in part.get("properties", {}).items()
        if name.endswith("At") or name in ("startTime", "endTime")
    }
    assert len(members) >= 10
    formats = {
        name: {part.get("format") for part in parts_of(each)} for name, each in members.items()
    }
    assert [name for name, found in formats.items() if "date-time" not in found] == []
