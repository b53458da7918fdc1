"""Strict tools: schemas as OpenAI's strict mode wants them, and the nulls that come back for what was optional.

What becomes of each keyword is tested in tests/schemas/test_strict.py.
"""

from __future__ import annotations

import copy
import dataclasses
import decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from anthropic import transform_schema
from openai.lib._pydantic import _ensure_strict_json_schema
from pydantic import BaseModel, Field

from multiturn.errors import InvalidInput
from multiturn.tools import Tool, tool
from schemas.examples import Colour, Point
from schemas.rules import broken_rules
from tools.asking import ask, schema_of


@dataclasses.dataclass
class Place:
    name: str
    floor: int = 3
    above: Place | None = None


class Box(TypedDict, total=False):
    width: int
    depth: float | None


class Item(BaseModel):
    name: str = Field("tea", max_length=9)
    tags: list[str] = []
    price: decimal.Decimal | None = None
    kind: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    age: int = 1


def order(
    city: str,
    unit: Literal["c", "f"] = "c",
    colours: list[Colour] = [Colour.RED],  # noqa: B006
    place: Place | None = None,
    box: Box = {},  # noqa: B006
    point: Point | None = None,
    items: list[Item] = [],  # noqa: B006
    number: Annotated[int, msgspec.Meta(ge=1, lt=10)] = 4,
    note: Annotated[str | None, "for the courier"] = "none",
) -> object:
    """Order.

    unit: of temperature
    """
    return [city, unit, colours, place and dataclasses.asdict(place), box, point, items, number, note]


STRICT = tool(order, strict=True)


def objects_in(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    here = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return here + [each for value in inner for each in objects_in(value)]


# --- the schema -----------------------------------------------------------------------------------------------------


def test_the_whole_schema_is_strict() -> None:
    schema = schema_of(STRICT)
    assert STRICT.spec.strict is True
    assert list(broken_rules(schema, schema)) == []
    assert len(objects_in(schema)) == 7  # the arguments, Place, Box, Point, Item, Cat, Dog


def test_what_was_optional_may_be_null_and_says_what_null_means() -> None:
    properties = schema_of(STRICT)["properties"]
    assert properties["city"] == {"type": "string"}
    assert properties["unit"] == {
        "anyOf": [{"type": "string", "enum": ["c", "f"]}, {"type": "null"}],
        "description": 'of temperature (null means "c")',
    }
    null_is_a_value = {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "for the courier"}
    assert properties["note"] == null_is_a_value


def test_openais_own_converter_has_nothing_left_to_do() -> None:
    schema = schema_of(STRICT)
    assert _ensure_strict_json_schema(copy.deepcopy(schema), path=(), root=schema) == schema


def test_anthropics_own_converter_takes_it() -> None:
    made = transform_schema(schema_of(STRICT))
    assert sorted(each["required"] for each in objects_in(made)) == sorted(
        each["required"] for each in objects_in(schema_of(STRICT))
    )


def test_what_strict_mode_cannot_say_is_refused_with_its_place() -> None:
    def take(value: list[dict[str, int]]) -> None: ...

    def take_others(**others: int) -> None: ...

    with pytest.raises(InvalidInput, match="tool 'take': 'value': an object with free keys cannot be strict; name its"):
        tool(take, strict=True)
    with pytest.raises(InvalidInput, match="tool 'take_others': an object with free keys cannot be strict"):
        tool(take_others, strict=True)
    with pytest.raises(InvalidInput, match="tool 'take': `allOf` cannot be strict"):
        Tool("take", "", {"allOf": [{}, {}]}, None, strict=True)


# --- the nulls ------------------------------------------------------------------------------------------------------

NOTHING = dict.fromkeys(["unit", "colours", "place", "box", "point", "items", "number", "note"])


async def test_null_stands_for_the_default_unless_null_is_a_value() -> None:
    result = await ask(STRICT, {"city": "Paris"} | NOTHING)
    assert msgspec.json.decode(result.text) == ["Paris", "c", ["red"], None, {}, None, [], 4, None]


async def test_nulls_deep_inside_stand_for_defaults_too() -> None:
    given = {
        "place": {"name": "a", "floor": None, "above": {"name": "b", "floor": 1, "above": None}},
        "box": {"width": None, "depth": None},
        "point": {"x": 1, "y": None},
        "items": [{"name": None, "tags": None, "price": None, "kind": {"kind": "dog", "age": None}}],
    }
    result = await ask(STRICT, {"city": "Paris"} | NOTHING | given)
    values = msgspec.json.decode(result.text)
    assert values[3] == {"name": "a", "floor": 3, "above": {"name": "b", "floor": 1, "above": None}}
    assert values[4] == {"depth": None}
    assert values[5] == [1.0, 0.0]
    assert values[6] == [{"name": "tea", "tags": [], "price": None, "kind": {"kind": "dog", "age": 1}}]


async def test_null_for_what_is_required_is_wrong_still() -> None:
    result = await ask(STRICT, {"city": None} | NOTHING)
    assert result.is_error
    assert "city: expected a string, got null" in result.text


async def test_what_strict_mode_cannot_promise_is_checked_still() -> None:
    result = await ask(STRICT, {"city": "Paris"} | NOTHING | {"items": [{"name": "n" * 10}]})
    assert "items[0].name: string should have at most 9 characters" in result.text


async def test_a_strict_schema_of_ones_own_has_its_nulls_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
    made = Tool("take", "", schema, lambda **given: given, strict=True)
    assert schema_of(made)["required"] == ["a", "b"]
    assert (await ask(made, {"a": 1, "b": None})).text == '{"a":1}'
    assert "a: expected an integer, got null" in (await ask(made, {"a": None, "b": None})).text
