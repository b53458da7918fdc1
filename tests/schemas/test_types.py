"""The JSON schema of every type, short and with its definitions; and which types have none."""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional

import msgspec
import pydantic
import pytest
import typing_extensions

from multiturn.errors import InvalidInput
from multiturn.schemas import Decoder, Mismatch
from schemas.examples import (
    Address,
    Box,
    Cat,
    Circle,
    Colour,
    Comment,
    Hiker,
    Item,
    Level,
    Moments,
    Order,
    Payment,
    Person,
    Point,
    Seats,
    Square,
    Tree,
    UserId,
    Walker,
)

Schema = dict[str, Any]


def schema_of(type: Any) -> Schema:
    return Decoder[Any](type).schema


def an_object(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required.split()}


def an_array(*places: Schema) -> Schema:
    return {"type": "array", "prefixItems": [*places], "items": False, "minItems": 2, "maxItems": 2}


STR: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
A_OR_1: Schema = {"type": ["string", "integer"], "enum": ["a", 1]}
CAT = an_object("name", name=STR, lives={**INT, "default": 9})
ITEM: Schema = {
    "description": "A line of the order.",
    **an_object(
        "name price",
        name={**STR, "description": "what is bought"},
        price={"type": "number", "minimum": 0},
        count={**INT, "default": 1},
    ),
}
BRANCH: Schema = {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}], "default": None}
TREE = an_object("value", value=INT, left=BRANCH, right=BRANCH)
CAT_TWICE: list[Schema] = [
    {"$ref": "#/$defs/Cat"},
    {"anyOf": [{"$ref": "#/$defs/Cat"}], "description": "the second"},  # nothing stands beside a $ref
]


class Chosen(pydantic.BaseModel):
    of: Literal["a", 1]


SCHEMAS: list[tuple[Any, Schema]] = [
    (str, STR),
    (int, INT),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (UserId, {"type": "integer", "minimum": 0}),
    (Annotated[UserId, "whose"], {"type": "integer", "minimum": 0, "description": "whose"}),
    (typing_extensions.TypeAliasType("Ids", list[int]), {"type": "array", "items": INT}),
    (Annotated[str, "a name"], {"type": "string", "description": "a name"}),
    (Annotated[int, {"no": "hash"}], INT),
    (Annotated[int, msgspec.Meta(ge=1, description="many")], {**INT, "minimum": 1, "description": "many"}),
    (Annotated[int, pydantic.Field(ge=1, description="many")], {**INT, "minimum": 1, "description": "many"}),
    (Annotated[int, pydantic.Field(ge=1), "many"], {**INT, "minimum": 1, "description": "many"}),
    (Annotated[datetime.date, "when"], {**STR, "format": "date", "description": "when"}),
    (datetime.datetime, {"type": "string", "format": "date-time"}),
    (datetime.time, {"type": "string", "format": "time"}),
    (datetime.timedelta, {"type": "string", "format": "duration"}),
    (uuid.UUID, {"type": "string", "format": "uuid"}),
    (decimal.Decimal, {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}),
    (pathlib.Path, {"type": "string", "format": "path"}),  # which only pydantic knows
    # choices, in their own order and with their type
    (Literal["b", "a"], {"type": "string", "enum": ["b", "a"]}),
    (Literal["a", 1], A_OR_1),
    (Colour, {"description": "A colour of the flag.", "type": "string", "enum": ["red", "green"]}),
    (Level, {"type": "integer", "enum": [1, 2]}),
    # arrays
    (list, {"type": "array", "items": {}}),
    (list[int], {"type": "array", "items": INT}),
    (set[int], {"type": "array", "items": INT, "uniqueItems": True}),
    (tuple[int, ...], {"type": "array", "items": INT}),
    (tuple[int, str], an_array(INT, STR)),
    (Seats, {"type": "array", "items": {**INT, "minimum": 1}, "minItems": 1, "maxItems": 3}),
    # objects
    (dict, {"type": "object", "additionalProperties": True}),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    (dict[int, str], {"type": "object", "additionalProperties": STR}),
    (
        dict[datetime.date, str],
        {"type": "object", "additionalProperties": STR, "propertyNames": {**STR, "format": "date"}},
    ),
    (Cat, CAT),
    (Annotated[Cat, "a pet"], {**CAT, "description": "a pet"}),
    (Hiker, an_object("name", name=STR, boots=INT)),
    (
        Walker,
        {
            "description": "As pydantic's users write it before Python 3.12.",
            **an_object("name", name={**STR, "description": "in full"}, boots=INT),
        },
    ),
    (Point, an_object("x", x={"type": "number"}, y={"type": "number", "default": 0.0})),
    (Circle, an_object("type radius", type={**STR, "enum": ["circle"]}, radius={"type": "number"})),
    (
        Address,
        {
            "description": "Where somebody lives.",
            **an_object(
                "streetName zipCode",
                streetName=STR,
                zipCode={**STR, "pattern": r"^\d{5}$", "description": "five digits"},
                floor=INT,
            ),
            "additionalProperties": False,
        },
    ),
    (
        Order,  # a definition that is used once stands where it is used
        an_object(
            "id items",
            id={**STR, "minLength": 3},
            items={"type": "array", "items": ITEM},
            note={"anyOf": [STR, {"type": "null"}], "default": None},
        ),
    ),
    (Item, ITEM),
    (Box, an_object("content more", content={}, more={"type": "array", "items": {}})),
    (Chosen, an_object("of", of=A_OR_1)),
    # unions
    (Optional[int], {"anyOf": [INT, {"type": "null"}]}),  # noqa: UP045
    (int | str, {"anyOf": [INT, STR]}),
    # what refers to itself, or is used twice, is defined once
    (Tree, {**TREE, "$defs": {"Tree": TREE}}),
    (tuple[Cat, Annotated[Cat, "the second"]], {**an_array(*CAT_TWICE), "$defs": {"Cat": CAT}}),
]


@pytest.mark.parametrize(("type", "schema"), SCHEMAS, ids=lambda value: str(value)[:50])
def test_every_type_has_its_schema(type: Any, schema: Schema) -> None:
    assert schema_of(type) == schema


def test_fields_keep_the_shapes_of_their_types() -> None:
    shapes = {key: of.get("format") for key, of in schema_of(Moments)["properties"].items()}
    assert shapes == {"at": "date-time", "day": "date", "id": "uuid", "price": None}


# --- unions of objects ----------------------------------------------------------------------------------------------


def tags_of(type: Any) -> list[tuple[str, Any]]:
    """The first property of each member, and its values."""
    first = [next(iter(of["properties"].items())) for of in schema_of(type)["items"]["anyOf"]]
    return [(key, of["enum"]) for key, of in first]


def test_tagged_structs_show_their_tags_and_untagged_objects_get_one() -> None:
    assert tags_of(list[Circle | Square]) == [("type", ["circle"]), ("type", ["square"])]
    assert tags_of(list[Cat | Person]) == [("type", ["Cat"]), ("type", ["Person"])]
    assert [of["required"][0] for of in schema_of(list[Cat | Person])["items"]["anyOf"]] == ["type", "type"]


@dataclass
class Typed:
    type: str


def test_the_tag_put_in_is_no_field_of_the_members() -> None:
    assert tags_of(list[Cat | Typed]) == [("kind", ["Cat"]), ("kind", ["Typed"])]
    assert Decoder[Any](Cat | Typed).decode({"kind": "Typed", "type": "Cat"}) == Typed("Cat")


def test_discriminated_unions_of_pydantics_are_anyof() -> None:
    """OpenAI refuses `oneOf`, and `discriminator` is OpenAPI's."""
    means = schema_of(Payment)["properties"]["means"]
    assert list(means) == ["anyOf"]
    assert means["anyOf"][1]["properties"]["kind"] == {"type": "string", "const": "cash", "default": "cash"}


# --- definitions ----------------------------------------------------------------------------------------------------


def both(first: Any, second: Any) -> Schema:
    """The definitions of a class that uses either type twice."""
    fields = [("a", first), ("b", first), ("c", second), ("d", second)]
    found: Schema = schema_of(msgspec.defstruct("Both", fields)).get("$defs", {})
    return found


def another(name: str) -> Any:
    return msgspec.defstruct(name, [("other", int)])


@pytest.mark.parametrize(("first", "second"), [(Cat, another("Cat")), (Item, another("Item")), (another("Item"), Item)])
def test_two_types_of_one_name_are_two_definitions(first: Any, second: Any) -> None:
    defs = both(first, second)
    assert list(defs) == [first.__name__, f"{first.__name__}_2"]
    assert list(defs.values()) == [schema_of(first), schema_of(second)]


def test_a_recursive_type_whose_name_is_taken_refers_to_its_own() -> None:
    assert both(another("Comment"), Comment)["Comment_2"]["properties"]["replies"]["items"] == {
        "$ref": "#/$defs/Comment_2"
    }


class Orders(pydantic.BaseModel):
    last: Item
    first: Item


def test_a_model_is_one_definition_whether_it_stands_alone_or_in_another() -> None:
    for defs in (both(Item, Orders), both(Orders, Item)):
        assert sorted(defs) == ["Item", "Orders"]
        assert defs["Item"] == ITEM


def test_an_enum_that_is_used_twice_is_defined_once_and_a_literal_is_not() -> None:
    assert both(Colour, Literal["a"]) == {"Colour": schema_of(Colour)}


class Named(pydantic.BaseModel):
    title: str
    discriminator: dict[str, str] = {"title": "x"}


def test_properties_are_not_taken_for_keywords() -> None:
    schema = schema_of(Named)
    assert list(schema["properties"]) == ["title", "discriminator"]
    assert schema["properties"]["discriminator"]["default"] == {"title": "x"}


# --- classes that only msgspec knows --------------------------------------------------------------------------------


class Row(msgspec.Struct, array_like=True):
    number: int
    text: str = ""


def test_what_only_msgspec_knows_is_read_by_it() -> None:
    places = [{"type": "integer"}, {"type": "string", "default": ""}]
    assert schema_of(list[Row])["items"] == {"type": "array", "prefixItems": places, "minItems": 1}
    assert Decoder[list[Row]](list[Row]).decode([[1, "a"], [2]]) == [Row(1, "a"), Row(2)]
    with pytest.raises(Mismatch, match=r'^\[0\]: expected an integer, got \["x"\]$'):
        Decoder[list[Row]](list[Row]).decode([["x"]])


# --- types that have no shape in JSON -------------------------------------------------------------------------------


class Arbitrary:
    def __init__(self, x: int) -> None:
        self.x = x


class Elsewhere(msgspec.Struct):
    x: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Empty(enum.Enum):
    """No choice at all."""


class Anywhere(NamedTuple):
    place: Arbitrary


UNSUPPORTED = [
    (Arbitrary, "Arbitrary'>; use a dataclass, a pydantic model, "),
    (Callable[[int], str], "there is no JSON schema of"),
    (list[Arbitrary], "Arbitrary"),
    (Anywhere, "Arbitrary"),
    (Box[Arbitrary], "Arbitrary"),
    (Person("Ada", 36), "Person"),
    ({"type": "object"}, "is not a type"),
    ("Person", "there is no JSON schema of 'Person'"),
    (Empty, "there is no JSON schema of <enum 'Empty'>"),
    (datetime.tzinfo, "tzinfo"),
    (Literal[b"x"], "JSON has only text"),
    (dict[Person, int], "cannot be the keys of an object"),
    (Mapping[Level, int], "cannot be the keys of an object"),
    (Annotated[Circle, pydantic.Field(title="a circle")], "pydantic cannot use"),
    (Annotated[str, msgspec.Meta(ge=3)], "cannot be"),
    (Elsewhere, "the annotations of Elsewhere cannot be resolved: name 'Nowhere' is not defined"),
    (print, "print"),
]


@pytest.mark.parametrize(("type", "sentence"), UNSUPPORTED, ids=lambda value: str(value)[:40])
def test_a_type_without_a_shape_in_json_is_refused_at_once(type: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Decoder(type)
    assert sentence in str(raised.value)


# --- pydantic, which need not be there ------------------------------------------------------------------------------


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_pydantic_is_imported_only_when_one_of_its_types_is_used() -> None:
    code = """
import sys, dataclasses, datetime
from multiturn.output import output_of
from multiturn.tools import tool
@dataclasses.dataclass
class Cat:
    name: str
@tool
def take(a: int, b: list[Cat], c: datetime.date | None = None) -> str: ...
print(output_of(list[Cat]).decode('{"answer": [{"name": "Tom"}]}'), "pydantic" in sys.modules)
"""
    assert printed(code) == "[Cat(name='Tom')] False\n"


def test_without_pydantic_its_absence_is_no_riddle() -> None:
    code = """
import sys, pathlib
sys.modules["pydantic"] = None
from multiturn.errors import InvalidInput
from multiturn.tools import tool
def take(path: pathlib.Path) -> str: ...
try:
    tool(take)
except InvalidInput as error:
    print(error)
"""
    assert "parameter 'path': there is no JSON schema of <class 'pathlib.Path'>; use a dataclass" in printed(code)
