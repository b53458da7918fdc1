"""Pydantic's types in a tool's parameters, beside msgspec's and inside of them; and that it is not imported without."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Field, field_validator

from multiturn.errors import InvalidInput
from multiturn.tools import tool
from multiturn.tools.codecs import _Pydantic, codec_of
from tools.asking import ask, property_of, schema_of


class Item(BaseModel):
    """What is sold."""

    name: str
    count: int = Field(1, ge=1, description="how many")


class Order(BaseModel):
    items: list[Item]
    note: str | None = None


class Node(BaseModel):
    name: str
    below: list[Node] = []


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number


class Broken(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def breaks(cls, number: int) -> int:
        raise LookupError("no such table")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


@pydantic.dataclasses.dataclass
class Checked:
    number: int = Field(ge=0)


@dataclasses.dataclass
class Around:
    """A plain dataclass with a model in it."""

    item: Item


class Struct(msgspec.Struct):
    number: int


def take_order(order: Order, orders: list[Order], urgent: bool = False) -> object:
    return [type(order).__name__, [type(item).__name__ for each in orders for item in each.items], urgent]


async def test_models_come_as_models_however_deep() -> None:
    order = {"items": [{"name": "tea", "count": 2}]}
    result = await ask(take_order, {"order": order, "orders": [order, order]})
    assert result.text == '["Order",["Item","Item"],false]'


async def test_every_problem_of_a_model_is_told_with_its_path() -> None:
    order = {"items": [{"name": "tea", "count": 0}, {"count": 1}]}
    result = await ask(take_order, {"order": order, "orders": [order]})
    assert result.is_error
    assert "- order.items[0].count: Input should be greater than or equal to 1; order wants " in result.text
    assert "- order.items[1].name: Field required" in result.text
    assert "- orders[0].items[0].count: " in result.text


def test_a_models_schema_is_short_and_defined_once() -> None:
    item = {
        "type": "object",
        "description": "What is sold.",
        "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer", "minimum": 1, "default": 1, "description": "how many"},
        },
        "required": ["name"],
    }
    order = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["items"],
    }
    schema = schema_of(take_order)
    assert schema["$defs"] == {"Order": order}
    assert schema["properties"]["orders"] == {"type": "array", "items": {"$ref": "#/$defs/Order"}}
    assert property_of(Node)["$defs"]["Node"]["properties"]["below"]["items"] == {"$ref": "#/$defs/Node"}


async def test_fields_in_annotations_and_as_defaults_are_kept_to() -> None:
    def take(
        a: Annotated[int, Field(ge=1)],
        b: int = Field(5, le=9, description="the b"),
        c: list[str] = Field(default_factory=lambda: ["c"]),
        d: Annotated[int, Field(default=4)] = 7,
        e: int = Field(ge=0, default=0),
    ) -> object:
        return [a, b, c, d, e]

    schema = schema_of(take)
    assert schema["required"] == ["a"]
    assert schema["properties"]["b"] == {"type": "integer", "maximum": 9, "default": 5, "description": "the b"}
    assert (await ask(take, {"a": 1})).text == '[1,5,["c"],7,0]'
    result = await ask(take, {"a": 0, "b": 10})
    assert "a: Input should be greater than or equal to 1" in result.text
    assert "b: Input should be less than or equal to 9" in result.text


async def test_a_factory_makes_a_default_for_each_call() -> None:
    def take(seen: list[int] = Field(default_factory=list)) -> list[int]:
        seen.append(1)
        return seen

    made = tool(take)
    assert [(await ask(made)).text for _ in range(2)] == ["[1]", "[1]"]


def test_a_field_without_a_default_is_required() -> None:
    def take(a: int = Field(ge=1), b: int = Field(...)) -> None: ...

    assert schema_of(take)["required"] == ["a", "b"]


async def test_what_a_validator_says_is_told() -> None:
    def take(value: Even) -> int:
        return value.number

    assert (await ask(take, {"value": {"number": 2}})).text == "2"
    assert "value.number: Value error, 3 is odd" in (await ask(take, {"value": {"number": 3}})).text


async def test_a_validator_that_breaks_is_told_too() -> None:
    def take(value: Broken) -> None: ...

    result = await ask(take, {"value": {"number": 1}})
    assert result.is_error
    assert "value: LookupError: no such table" in result.text


def test_discriminated_unions_are_anyof() -> None:
    """OpenAI refuses `oneOf`."""
    schema = property_of(Annotated[Cat | Dog, Field(discriminator="kind")])
    assert set(schema) == {"anyOf"}
    assert schema["anyOf"][0]["properties"]["kind"] == {"type": "string", "const": "cat"}


def test_msgspec_and_pydantic_types_of_one_name_keep_apart() -> None:
    theirs = pydantic.create_model("Struct", text=(str, ...))

    def take(a: Struct, b: Struct, c: Any, d: Any) -> None: ...

    take.__annotations__ |= {"c": theirs, "d": list[theirs]}  # type: ignore[valid-type]
    schema = schema_of(take)
    assert schema["properties"]["a"] == schema["properties"]["b"] == {"$ref": "#/$defs/Struct"}
    assert schema["properties"]["c"] == {"$ref": "#/$defs/Struct_"}
    assert list(schema["$defs"]["Struct"]["properties"]) == ["number"]
    assert list(schema["$defs"]["Struct_"]["properties"]) == ["text"]


def test_a_model_inside_of_a_struct_is_refused() -> None:
    mixed = msgspec.defstruct("Mixed", [("item", Item)])

    def take(value: Any) -> None: ...

    take.__annotations__["value"] = mixed
    with pytest.raises(InvalidInput, match="parameter 'value': a Mixed cannot be read from JSON"):
        tool(take)


@pytest.mark.parametrize(
    ("hint", "by_pydantic"),
    [
        (int, False),
        (Struct, False),
        (list[Struct], False),
        (Item, True),
        (list[dict[str, Item | None]], True),
        (Annotated[int, Field(ge=1)], True),
        (list[Annotated[int, Field(ge=1)]], True),
        (Annotated[int, msgspec.Meta(ge=1)], False),
        (Checked, True),
        (Around, True),
        (pydantic.PositiveInt, True),
        (pydantic.SecretStr, True),
        (pathlib.Path, True),  # msgspec does not know it
        (Cat | Dog, True),
    ],
    ids=str,
)
def test_pydantic_reads_what_is_its_own_or_nobody_elses(hint: Any, by_pydantic: bool) -> None:
    assert isinstance(codec_of(hint), _Pydantic) is by_pydantic


async def test_a_models_result_is_json() -> None:
    def give() -> object:
        return {"order": Order(items=[Item(name="tea", count=1)])}

    assert (await ask(give)).text == '{"order":{"items":[{"name":"tea","count":1}],"note":null}}'


def test_pydantic_is_not_imported_unless_a_type_needs_it() -> None:
    code = """
import sys, dataclasses, datetime
from multiturn.tools import tool
@dataclasses.dataclass
class Place:
    name: str
@tool
def take(a: int, b: list[Place], c: datetime.date | None = None) -> str: ...
assert bytes(take.spec.parameters)
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


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
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "parameter 'path': a Path cannot be read from JSON: type <class 'pathlib.Path'>" in done.stdout
