"""Arguments that do not fit, each kind of wrong: nothing is called, and the model is told what to mend."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pytest

from multiturn.tools import Tool, tool
from multiturn.tools.arguments import InvalidArguments
from tools.asking import ask


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Place:
    name: str
    floor: int = 0


class Folder(msgspec.Struct):
    folders: list[Folder] = []


class Strict(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number == 1:
            raise ValueError("1 is taken")
        if self.number == 2:
            raise LookupError("no table")


def plan(
    city: str,
    days: int = 1,
    price: float = 1.0,
    loud: bool = False,
    unit: Literal["c", "f"] = "c",
    colour: Colour = Colour.RED,
    places: list[Place] = [],  # noqa: B006
    by_name: dict[str, int] = {},  # noqa: B006
    day: datetime.date | None = None,
    code: uuid.UUID | None = None,
    cost: decimal.Decimal | None = None,
    bound: Annotated[int, msgspec.Meta(ge=1, le=9)] = 5,
    pair: tuple[int, str] = (1, "a"),
    checked: Strict | None = None,
) -> object:
    """Plan.

    days: how many
    """
    return [
        city,
        days,
        type(price).__name__,
        colour.name,
        [type(each).__name__ for each in places],
        repr(day),
        repr(cost),
    ]


PLAN = tool(plan)


async def test_what_fits_comes_as_the_functions_own_types() -> None:
    given = {"city": "Rome", "days": 2, "price": 3, "places": [{"name": "x"}], "day": "2026-01-02", "cost": "1.50"}
    assert msgspec.json.decode((await ask(PLAN, given)).text) == [
        "Rome",
        2,
        "float",
        "RED",
        ["Place"],
        "datetime.date(2026, 1, 2)",
        "Decimal('1.50')",
    ]


WRONG: list[tuple[object, str]] = [
    # not JSON, or not an object
    ("{", "the arguments are not JSON: Input data was truncated; send one JSON object"),
    ("city=Rome", "the arguments are not JSON"),
    ('{"city": "Rome"} ', ""),
    ('{"city": "Rome"}}', "the arguments are not JSON"),
    ("{'city': 'Rome'}", "the arguments are not JSON"),
    ('{"city": NaN}', "the arguments are not JSON"),
    ('{"city": "\ud800"}', "the arguments are not JSON"),
    ("[]", "the arguments must be one JSON object: Expected `object`, got `array`"),
    ('"Rome"', "the arguments must be one JSON object"),
    ('{"city":' + "[" * 100_000, "the arguments are nested too deeply"),
    # missing and unknown
    ("", '- city: is missing, expected a string; city wants {"type":"string"}'),
    ("null", "- city: is missing"),
    ({}, "- city: is missing"),
    ({"city": "x", "town": "y"}, "- town: is unknown; there are: city, days, price"),
    # of another type, near and far
    ({"city": 1}, '- city: expected a string, got 1; city wants {"type":"string"}'),
    ({"city": None}, "- city: expected a string, got null"),
    (
        {"city": "x", "days": "2"},
        '- days: expected an integer, got "2"; days wants {"type":"integer","description":"how many"',
    ),
    ({"city": "x", "days": True}, "- days: expected an integer, got true"),
    ({"city": "x", "unit": "k"}, '- unit: expected one of "c", "f", got "k"; unit wants {"type":"string","enum":["c"'),
    (
        {"city": "x", "places": [{"name": "a"}, {"name": 5}]},
        "- places[1].name: expected a string, got 5; places wants ",
    ),
    ({"city": "x", "by_name": {"a": "b"}}, '- by_name.a: expected an integer, got "b"'),
    ({"city": "x", "day": "tomorrow"}, "- day: invalid RFC3339 encoded date"),
    # out of bounds, and refused by a type's own check
    (
        {"city": "x", "bound": 10},
        '- bound: expected an integer <= 9, got 10; bound wants {"type":"integer","minimum":1',
    ),
    ({"city": "x", "checked": {"number": 1}}, "- checked: 1 is taken"),
    ({"city": "x", "checked": {"number": 2}}, "the arguments cannot be read: LookupError: no table"),
]


@pytest.mark.parametrize(
    ("given", "words"), WRONG, ids=[str(given)[:40].encode("ascii", "replace").decode() for given, _ in WRONG]
)
async def test_wrong_arguments_are_told_and_nothing_is_called(given: object, words: str) -> None:
    result = await ask(PLAN, given)
    assert result.is_error is bool(words)
    assert words in result.text
    assert len(result.text.splitlines()) <= 2


async def test_all_that_is_wrong_is_told_at_once() -> None:
    result = await ask(PLAN, {"days": "2", "loud": 3})
    assert [line.split(";")[0] for line in result.text.splitlines()] == [
        "the arguments do not fit:",
        "- city: is missing, expected a string",
        '- days: expected an integer, got "2"',
        "- loud: expected a boolean, got 3",
    ]


async def test_a_whole_number_is_an_integer_and_null_stands_for_what_may_be_left_out() -> None:
    given = {"city": "Rome", "days": 3.0, "loud": None, "places": [{"name": "x", "floor": None}], "day": None}
    values = PLAN.arguments.read(msgspec.json.encode(given).decode())
    assert (values["days"], values["loud"], values["day"]) == (3, False, None)
    assert values["places"] == [Place("x", 0)]


async def test_a_long_list_of_wrongs_is_cut() -> None:
    result = await ask(PLAN, {"city": "x"} | {f"x{n}": n for n in range(100)})
    lines = result.text.splitlines()
    assert len(lines) == 7
    assert lines[-1] == "- and 95 more"


async def test_a_long_schema_is_cut_in_what_is_wanted() -> None:
    def take(value: Any) -> None: ...

    take.__annotations__["value"] = Literal[tuple(f"choice {n}" for n in range(1000))]
    result = await ask(take, {"value": "x"})
    assert result.text.endswith("…")
    assert len(result.text) < 600


@pytest.mark.parametrize("nothing", ["", "  \n", "null", "{}"])
async def test_a_tool_without_parameters_takes_every_way_to_say_nothing(nothing: str) -> None:
    def ping() -> str:
        return "pong"

    assert (await ask(ping, nothing)).text == "pong"
    assert (await ask(Tool("ping", "", {}, ping), nothing)).text == "pong"


async def test_the_last_of_two_equal_names_counts() -> None:
    assert msgspec.json.decode((await ask(PLAN, '{"city": 1, "city": "Rome"}')).text)[0] == "Rome"


@pytest.mark.parametrize("text", ["{", "[]", '{"a":' + "[" * 100_000, '{"a": "\ud800"}', '{"a": "x"}', '{"c": 1}'])
async def test_a_schema_of_ones_own_refuses_as_well(text: str) -> None:
    schema = {"properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    made = Tool("take", "", schema, lambda **given: given)
    result = await ask(made, text)
    assert result.is_error
    assert "the arguments " in result.text


def test_a_schema_that_refers_to_itself_for_ever_is_no_end() -> None:
    made = Tool("take", "", {"allOf": [{"$ref": "#"}]}, lambda **given: given)
    with pytest.raises(InvalidArguments, match="nested too deeply"):
        made.read("{}")


def test_a_schema_that_is_none_is_told_when_it_is_read() -> None:
    made = Tool("take", "", {"required": True}, lambda **given: given)
    with pytest.raises(InvalidArguments, match="the arguments cannot be read: TypeError"):
        made.read("{}")


async def test_a_strict_value_that_is_nested_too_deeply_is_told() -> None:
    def take(folder: Folder) -> None: ...

    deep = '{"folders":[' * 300 + '{"folders":null}' + "]}" * 300
    result = await ask(tool(take, strict=True), '{"folder":' + deep + "}")
    assert result.is_error
    assert "nested too deeply" in result.text or "RecursionError" in result.text


async def test_positional_only_parameters_are_filled_by_name() -> None:
    def take(a: int, b: int = 2, /, c: int = 3) -> list[int]:
        return [a, b, c]

    assert (await ask(take, {"a": 1, "c": 5})).text == "[1,2,5]"
    assert "a: is missing" in (await ask(take, {"b": 1})).text
