"""What providers are told of a type: as a schema, as a tool, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from multiturn.deltas import Answer
from multiturn.messages import user
from multiturn.models.offline import OfflineModel
from multiturn.output import Output, output_of
from multiturn.path import Path
from multiturn.request import OutputSchema, Request, Settings, ToolSpec
from multiturn.schemas import Decoder, schema_of
from output.examples import (
    TYPES,
    Address,
    Box,
    Cat,
    Circle,
    Colour,
    Comment,
    Hiker,
    Item,
    Moments,
    Order,
    Person,
    Point,
    Seats,
    Square,
    Tree,
    UserId,
    Walker,
)


@pytest.mark.parametrize(
    ("type", "name", "description"),
    [
        (Person, "Person", "Somebody in the text."),
        (Address, "Address", "Where somebody lives."),
        (Item, "Item", "A line of the order."),
        (Cat, "Cat", None),  # not the signature that dataclasses get for a docstring
        (Point, "Point", None),
        (Hiker, "Hiker", None),
        (Colour, "Colour", "A colour of the flag."),
        (Box[int], "Box_int", None),
        (list[Person], "answer", None),
        (Cat | Person, "answer", None),
        (str, "answer", None),
    ],
)
def test_name_and_description_are_the_types_own(type: Any, name: str, description: str | None) -> None:
    schema = output_of(type).schema
    assert (schema.name, schema.description) == (name, description)


class 名前(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        title="A title, with spaces & more than the sixty-four characters that OpenAI takes"
    )
    x: int


def test_names_are_such_as_every_provider_takes() -> None:
    assert output_of(名前).schema.name == "A_title_with_spaces_more_than_the_sixty-four_characters_that_Ope"
    assert output_of(msgspec.defstruct("名前", [("x", int)])).schema.name == "answer"


def test_the_schema_is_made_once() -> None:
    output = output_of(Person)
    assert output.schema is output.schema
    assert isinstance(output.schema, OutputSchema)


def test_the_tool_takes_the_answer_as_its_arguments() -> None:
    output: Output[Person] = output_of(Person)
    tool = output.as_tool()
    assert tool == ToolSpec(
        name="final_answer",
        description="Give the final answer. Somebody in the text.",
        parameters=output.schema.schema or msgspec.Raw(),
        strict=True,
    )
    assert output.decode('{"name": "Ada", "age": 36}') == Person("Ada", 36)
    assert output_of(dict[str, int]).as_tool().strict is False


def test_the_instruction_holds_the_schema_in_one_line() -> None:
    output = output_of(list[Cat])
    words, schema = output.instruction().split("\n")
    assert words.startswith("Answer with one JSON object and nothing else")
    assert json.loads(schema) == json.loads(bytes(output.schema.schema or b""))


ONLY_IN_WORDS = (bytes, Order)  # base64 and `min_length`: strict schemas have no keywords for them


@pytest.mark.parametrize("type", [type for type in TYPES if type not in ONLY_IN_WORDS], ids=repr)
async def test_the_offline_model_answers_every_schema_with_what_decodes(type: Any) -> None:
    output = output_of(type)
    request = Request(path=Path(), input=(user("Ada is 36"),), settings=Settings(output=output.schema))
    answers = [item async for item in OfflineModel().answer(request) if isinstance(item, Answer)]
    output.decode(answers[0].message.text)


# --- the schemas themselves -----------------------------------------------------------------------------------------


def schema_without_title(type: Any) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.decode(schema_of(type))
    return {key: value for key, value in schema.items() if key not in ("title", "type")}


@pytest.mark.parametrize(
    ("type", "schema"),
    [
        (str, {"type": "string"}),
        (UserId, {"type": "integer", "minimum": 0}),
        (Annotated[str, "a name"], {"type": "string", "description": "a name"}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (Seats, {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 3}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (dict[int, str], {"type": "object", "additionalProperties": {"type": "string"}}),
        (dict, {"type": "object", "additionalProperties": True}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    ],
    ids=str,
)
def test_schemas_of_plain_types(type: Any, schema: dict[str, Any]) -> None:
    assert msgspec.json.decode(schema_of(type)) == schema


def test_schemas_of_objects() -> None:
    assert schema_without_title(Hiker) == {
        "properties": {"name": {"type": "string"}, "boots": {"type": "integer"}},
        "required": ["name"],
    }
    assert schema_without_title(Walker)["properties"]["name"] == {"type": "string", "description": "in full"}
    assert schema_without_title(Point) == {
        "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.0}},
        "required": ["x"],
    }
    assert schema_without_title(Address) == {
        "description": "Where somebody lives.",
        "properties": {
            "streetName": {"type": "string"},
            "zipCode": {"type": "string", "pattern": r"^\d{5}$", "description": "five digits"},
            "floor": {"type": "integer"},
        },
        "required": ["streetName", "zipCode"],
        "additionalProperties": False,
    }
    shapes = {key: of.get("format") for key, of in schema_without_title(Moments)["properties"].items()}
    assert shapes == {"at": "date-time", "day": "date", "id": "uuid", "price": None}


def test_tagged_structs_show_their_tags_and_untagged_objects_get_one() -> None:
    tagged = schema_without_title(list[Circle | Square])
    assert [of["properties"]["type"] for of in tagged["$defs"].values()] == [{"enum": ["circle"]}, {"enum": ["square"]}]
    put_in = schema_without_title(list[Cat | Person])
    assert [next(iter(of["properties"])) for of in put_in["$defs"].values()] == ["type", "type"]
    assert [of["required"][0] for of in put_in["$defs"].values()] == ["type", "type"]


@dataclass
class Typed:
    type: str


def test_the_tag_put_in_is_no_field_of_the_members() -> None:
    schema = schema_without_title(list[Cat | Typed])
    assert [list(of["properties"]) for of in schema["$defs"].values()] == [["kind", "name", "lives"], ["kind", "type"]]
    assert output_of(Cat | Typed).decode('{"answer": {"kind": "Typed", "type": "Cat"}}') == Typed("Cat")


def test_what_refers_to_itself_is_defined_once() -> None:
    assert list(schema_without_title(Tree)["$defs"]) == ["Tree"]
    assert list(schema_without_title(Comment)["$defs"]) == ["Comment"]
    assert list(schema_without_title(list[Comment])["$defs"]) == ["Comment"]
    assert "$defs" not in schema_without_title(Person)


def another(name: str) -> Any:
    return msgspec.defstruct(name, [("other", int)])


def both(first: Any, second: Any) -> Any:
    return msgspec.defstruct("Both", [("first", first), ("second", second)])


def test_two_types_of_one_name_are_two_definitions() -> None:
    for first, second in [(Cat, another("Cat")), (Comment, another("Comment")), (another("Item"), Item)]:
        defs = schema_without_title(both(first, second))["$defs"]
        assert list(defs) == [first.__name__, f"{first.__name__}_2"]
        assert defs[first.__name__]["properties"].keys() != defs[f"{first.__name__}_2"]["properties"].keys()
    recursive = schema_without_title(both(another("Comment"), Comment))["$defs"]["Comment_2"]
    assert recursive["properties"]["replies"]["items"] == {"$ref": "#/$defs/Comment_2"}


def test_a_decoder_reads_plain_data_for_tools_too() -> None:
    arguments = TypedDict("arguments", {"city": str, "days": Annotated[int, msgspec.Meta(ge=1)]})  # noqa: UP013
    decoder = Decoder[dict[str, Any]](arguments)
    assert decoder.decode({"city": "Oslo", "days": 3}) == {"city": "Oslo", "days": 3}
    assert decoder.schema["required"] == ["city", "days"]
