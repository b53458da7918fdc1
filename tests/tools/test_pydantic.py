"""Pydantic's types in a tool's parameters, beside other types and inside of them."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Any

import msgspec
import pydantic
from pydantic import BaseModel, Field

from multiturn.tools import tool
from tools.asking import ask, schema_of


class Item(BaseModel):
    """What is sold."""

    name: str
    count: int = Field(1, ge=1, description="how many")


class Order(BaseModel):
    items: list[Item]
    note: str | None = None


@pydantic.dataclasses.dataclass
class Checked:
    number: int = Field(ge=0)


@dataclasses.dataclass
class Around:
    """A plain dataclass with a model in it."""

    item: Item


def take_order(order: Order, orders: list[Order], urgent: bool = False) -> object:
    return [type(order).__name__, [type(item).__name__ for each in orders for item in each.items], urgent]


async def test_models_come_as_models_and_every_problem_of_one_is_told_with_its_path() -> None:
    fine = {"items": [{"name": "tea", "count": 2}]}
    assert (await ask(take_order, {"order": fine, "orders": [fine] * 2})).text == '["Order",["Item","Item"],false]'
    order = {"items": [{"name": "tea", "count": 0}, {"count": 1}]}
    result = await ask(take_order, {"order": order, "orders": [order]})
    assert result.is_error
    assert "- order.items[0].count: input should be greater than or equal to 1, got 0; order wants " in result.text
    assert "- order.items[1].name: is missing" in result.text
    assert "- orders[0].items[0].count: " in result.text


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
    assert "a: input should be greater than or equal to 1" in result.text
    assert "b: input should be less than or equal to 9" in result.text


async def test_a_factory_makes_a_default_for_each_call() -> None:
    def take(seen: list[int] = Field(default_factory=list)) -> list[int]:
        seen.append(1)
        return seen

    made = tool(take)
    assert [(await ask(made)).text for _ in range(2)] == ["[1]", "[1]"]


def test_a_field_without_a_default_is_required() -> None:
    def take(a: int = Field(ge=1), b: int = Field(...)) -> None: ...

    assert schema_of(take)["required"] == ["a", "b"]


async def test_models_and_other_classes_hold_each_other() -> None:
    mixed = msgspec.defstruct("Mixed", [("item", Item), ("around", Around)])

    def take(value: Any) -> object:
        return [type(value).__name__, type(value.item).__name__, type(value.around.item).__name__]

    take.__annotations__["value"] = mixed
    item = {"name": "tea"}
    assert (await ask(take, {"value": {"item": item, "around": {"item": item}}})).text == '["Mixed","Item","Item"]'
    wrong = await ask(take, {"value": {"item": {}, "around": {"item": {"name": 5}}}})
    assert "- value.item.name: is missing" in wrong.text
    assert "- value.around.item.name: input should be a valid string, got 5" in wrong.text


async def test_what_only_pydantic_knows_is_read_by_it() -> None:
    def take(path: pathlib.Path, secret: pydantic.SecretStr, count: pydantic.PositiveInt, checked: Checked) -> object:
        return [type(path).__name__, str(secret), count, checked.number]

    given = {"path": "/a", "secret": "b", "count": 1, "checked": {"number": 0}}
    assert (await ask(take, given)).text == '["PosixPath","**********",1,0]'
    wrong = (await ask(take, given | {"count": 0, "checked": {"number": -1}})).text
    assert "- count: input should be greater than 0" in wrong
    assert "- checked.number: input should be greater than or equal to 0" in wrong


async def test_a_models_result_is_json() -> None:
    def give() -> object:
        return {"order": Order(items=[Item(name="tea", count=1)])}

    assert (await ask(give)).text == '{"order":{"items":[{"name":"tea","count":1}],"note":null}}'
