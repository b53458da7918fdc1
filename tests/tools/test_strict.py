"""Strict tools: schemas as OpenAI's strict mode wants them, and the nulls that come back for what was optional."""

from __future__ import annotations

import copy
import dataclasses
import decimal
import enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from anthropic import transform_schema
from openai.lib._pydantic import _ensure_strict_json_schema
from pydantic import BaseModel, Field

from multiturn.errors import InvalidInput
from multiturn.tools import Tool, tool
from multiturn.tools.schemas import strict, without_nulls
from tools.asking import ask, schema_of


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Place:
    name: str
    floor: int = 3
    above: Place | None = None


class Box(TypedDict, total=False):
    width: int
    depth: float | None


class Pair(NamedTuple):
    left: int
    right: str


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
    pair: Pair | None = None,
    items: list[Item] = [],  # noqa: B006
    number: Annotated[int, msgspec.Meta(ge=1, lt=10)] = 4,
    note: Annotated[str | None, "for the courier"] = "none",
) -> object:
    """Order.

    unit: of temperature
    """
    return [city, unit, colours, place and dataclasses.asdict(place), box, pair, items, number, note]


STRICT = tool(order, strict=True)


def objects_in(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    here = [schema] if isinstance(schema, dict) and schema.get("type") == "object" else []
    return here + [each for value in inner for each in objects_in(value)]


# --- the schema -----------------------------------------------------------------------------------------------------


def test_every_object_is_closed_and_requires_all_that_it_has() -> None:
    schema = schema_of(STRICT)
    assert STRICT.spec.strict is True
    found = objects_in(schema)
    assert len(found) == 6  # the arguments, Place, Box, Item, Cat, Dog
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


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
    assert [each["required"] for each in objects_in(made)] == [
        each["required"] for each in objects_in(schema_of(STRICT))
    ]


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string", "default": "x", "minLength": 3, "format": "path"}, {"type": "string"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
        ({"type": "string", "pattern": "^(?!a)$"}, {"type": "string"}),  # no lookaround
        ({"oneOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}]}),
        ({"allOf": [{"type": "string", "maxLength": 1}], "description": "x"}, {"type": "string", "description": "x"}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}], "items": False, "minItems": 2},
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": ["string", "null"], "default": None}}},
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        ({"enum": ["a"]}, {"enum": ["a"]}),
        ({"const": 1}, {"const": 1}),
    ],
)
def test_what_strict_mode_says_otherwise_is_said_so(schema: dict[str, Any], made: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    assert strict(schema) == made
    assert strict(made) == made
    assert schema == before


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (dict[str, int], "'value': strict: an object with free keys cannot be said"),
        (dict, "free keys"),
        (Any, "'value': strict: a value of any type cannot be said"),
        (list[Any], "'value': strict: a list of anything cannot be said"),
        (list, "a list of anything"),
        (list[list], "a list of anything"),  # type: ignore[type-arg]
    ],
)
def test_what_strict_mode_cannot_say_is_refused(hint: Any, words: str) -> None:
    def take(value: Any) -> None: ...

    take.__annotations__["value"] = hint
    with pytest.raises(InvalidInput, match=words):
        tool(take, strict=True)


def test_free_keyword_arguments_are_refused() -> None:
    def take(**others: int) -> None: ...

    with pytest.raises(InvalidInput, match="tool 'take': strict: an object with free keys"):
        tool(take, strict=True)


@pytest.mark.parametrize("schema", [{"allOf": [{}, {}]}, {"definitions": {"A": {}}}])
def test_schemas_that_strict_mode_has_no_words_for_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="strict: "):
        strict(schema)


# --- the nulls ------------------------------------------------------------------------------------------------------

NOTHING = dict.fromkeys(["unit", "colours", "place", "box", "pair", "items", "number", "note"])


async def test_null_stands_for_the_default_unless_null_is_a_value() -> None:
    result = await ask(STRICT, {"city": "Paris"} | NOTHING)
    assert msgspec.json.decode(result.text) == ["Paris", "c", ["red"], None, {}, None, [], 4, None]


async def test_nulls_deep_inside_stand_for_defaults_too() -> None:
    given = {
        "place": {"name": "a", "floor": None, "above": {"name": "b", "floor": 1, "above": None}},
        "box": {"width": None, "depth": None},
        "pair": [1, "r"],
        "items": [{"name": None, "tags": None, "price": None, "kind": {"kind": "dog", "age": None}}],
    }
    result = await ask(STRICT, {"city": "Paris"} | NOTHING | given)
    values = msgspec.json.decode(result.text)
    assert values[3] == {"name": "a", "floor": 3, "above": {"name": "b", "floor": 1, "above": None}}
    assert values[4] == {"depth": None}
    assert values[5] == [1, "r"]
    assert values[6] == [{"name": "tea", "tags": [], "price": None, "kind": {"kind": "dog", "age": 1}}]


async def test_null_for_what_is_required_is_wrong_still() -> None:
    result = await ask(STRICT, {"city": None} | NOTHING)
    assert result.is_error
    assert "city: Expected `str`, got `null`" in result.text


async def test_what_strict_mode_cannot_promise_is_checked_still() -> None:
    result = await ask(STRICT, {"city": "Paris"} | NOTHING | {"items": [{"name": "n" * 10}]})
    assert "items[0].name: String should have at most 9 characters" in result.text


async def test_without_strict_null_is_no_default() -> None:
    assert "unit: Expected `str`, got `null`" in (await ask(order, {"city": "Paris", "unit": None})).text


async def test_a_strict_schema_of_ones_own_has_its_nulls_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
    made = Tool("take", "", schema, lambda **given: given, strict=True)
    assert schema_of(made)["required"] == ["a", "b"]
    assert (await ask(made, {"a": 1, "b": None})).text == '{"a":1}'
    assert "a: expected integer, got null" in (await ask(made, {"a": None, "b": None})).text


def test_nulls_are_found_through_references_branches_and_tuples() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    root = {
        "$defs": {"Inner": inner},
        "properties": {
            "by_reference": {"$ref": "#/$defs/Inner"},
            "by_branch": {"oneOf": [{"type": "integer"}, {"$ref": "#/$defs/Inner"}]},
            "by_all": {"allOf": [{"$ref": "#/$defs/Inner"}]},
            "by_place": {"prefixItems": [{"type": "null"}, {"$ref": "#/$defs/Inner"}]},
            "free": {},
        },
    }
    null = {"a": None}
    given = {"by_reference": null, "by_branch": null, "by_all": null, "by_place": [None, null], "free": null, "x": None}
    assert without_nulls(given, root, root) == {
        "by_reference": {},
        "by_branch": {},
        "by_all": {},
        "by_place": [None, {}],
        "free": null,
        "x": None,
    }
