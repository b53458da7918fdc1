"""What providers are told of a type: as a schema, as a tool, in words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pydantic
import pytest

from multiturn.deltas import Answer
from multiturn.messages import user
from multiturn.models.offline import OfflineModel
from multiturn.output import Output, output_of
from multiturn.path import Path
from multiturn.request import OutputSchema, Request, Settings, ToolSpec
from schemas.examples import (
    TYPES,
    Address,
    Box,
    Cat,
    Colour,
    Hiker,
    Item,
    Order,
    Person,
    Point,
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
