"""For any type: the schema accepts what the decoder accepts, values come back equal, and no text makes a call raise."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import datetime
import enum
import types
import typing
import uuid
from typing import Any, Literal, TypedDict, get_args, get_origin

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.messages import Audio, File, Image, Text, Video
from multiturn.tools import Tool, tool
from multiturn.tools.arguments import InvalidArguments
from multiturn.tools.checking import Problem, fits, problems
from multiturn.tools.results import parts_of
from multiturn.tools.schemas import strict
from strategies import any_media
from tools.asking import ask, schema_of

Media = Image | Audio | Video | File


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Place:
    name: str
    floor: int = 3
    colours: list[Colour] = dataclasses.field(default_factory=list)
    inside: Place | None = None


class Box(TypedDict, total=False):
    width: float
    note: str


SINGLE: list[Any] = [int, float, str, bool, None, Literal["a", "b", 3], Colour, Place, Box, datetime.date, uuid.UUID]


def any_hint() -> st.SearchStrategy[Any]:
    def several(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            inner.map(lambda hint: types.GenericAlias(list, (hint,))),
            inner.map(lambda hint: types.GenericAlias(dict, (str, hint))),
            inner.map(lambda hint: types.GenericAlias(tuple, (hint, int))),
            inner.map(lambda hint: hint if hint is None else hint | None),
        )

    return st.recursive(st.sampled_from(SINGLE), several, max_leaves=3)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    args = get_args(hint)
    match get_origin(hint) or hint:
        case builtins.list:
            return st.lists(values_of(args[0]), max_size=3)
        case builtins.dict:
            return st.dictionaries(st.text(max_size=5), values_of(args[1]), max_size=3)
        case builtins.tuple:
            return st.tuples(*map(values_of, args))
        case types.UnionType | typing.Union:
            return st.one_of(*map(values_of, args))
        case builtins.float:
            return st.floats(allow_nan=False, allow_infinity=False)
    if hint is Box:
        return st.fixed_dictionaries({}, optional={"width": values_of(float), "note": st.text()})
    return places() if hint is Place else st.from_type(hint) if hint else st.none()


def places(depth: int = 2) -> st.SearchStrategy[Place]:
    inside = st.none() | places(depth - 1) if depth else st.none()
    return st.builds(Place, st.text(), st.integers(), st.lists(st.sampled_from(Colour), max_size=2), inside)


def json_values() -> st.SearchStrategy[Any]:
    one = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5)
    )
    names = st.sampled_from(["name", "floor", "colours", "inside", "width", "note", "x"])
    one |= st.sampled_from(["a", "b", 3, "red", "2026-01-02"])
    return st.recursive(one, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))


def taking(hint: Any, *, strict: bool = False) -> Tool[..., Any]:
    def take(value: Any) -> Any: ...

    take.__annotations__["value"] = hint
    return tool(take, strict=strict)


def reads(made: Tool[..., Any], value: Any) -> bool:
    try:
        made.arguments.read(msgspec.json.encode({"value": value}).decode())
    except InvalidArguments:
        return False
    return True


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_a_type_holds_its_schema_and_its_decoder_take(data: st.DataObject) -> None:
    hint = data.draw(any_hint())
    made = taking(hint)
    value = data.draw(values_of(hint))
    text = msgspec.json.encode({"value": value}).decode()
    assert made.arguments.read(text) == {"value": value}
    assert list(problems(msgspec.json.decode(text), schema_of(made), schema_of(made))) == []


@settings(max_examples=150, deadline=None)
@given(any_hint(), json_values())
def test_what_the_decoder_takes_the_schema_takes(hint: Any, value: Any) -> None:
    made = taking(hint)
    schema = schema_of(made)
    given = {"value": value}
    if reads(made, value):
        assert fits(given, schema, schema)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_strict_tool_reads_what_the_plain_one_reads(data: st.DataObject) -> None:
    """Whatever it left out comes as null, and it is left out again."""
    hint = data.draw(any_hint())
    plain = taking(hint)
    try:
        made = taking(hint, strict=True)
    except InvalidInput:
        return
    value = data.draw(values_of(hint))
    written = filled(msgspec.json.decode(msgspec.json.encode({"value": value})), schema_of(made), schema_of(made))
    assert fits(written, schema_of(made), schema_of(made))
    text = msgspec.json.encode(written).decode()
    assert made.arguments.read(text) == plain.arguments.read(msgspec.json.encode({"value": value}).decode())
    assert strict(schema_of(made)) == schema_of(made)


def filled(value: Any, schema: Any, root: dict[str, Any]) -> Any:
    """The value as a model under strict mode writes it: with null for every property that is not there."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for branch in schema.get("anyOf", ()):
        if fits(written := filled(value, branch, root), branch, root):
            return written
    if isinstance(value, list):
        return [filled(item, schema.get("items", {}), root) for item in value]
    if isinstance(value, dict) and "properties" in schema:
        return {name: filled(value.get(name), inner, root) for name, inner in schema["properties"].items()}
    return value


@settings(max_examples=60, deadline=None)
@given(st.text() | json_values().map(lambda value: msgspec.json.encode(value).decode()))
def test_no_text_makes_a_call_raise(text: str) -> None:
    def take(name: str, floor: int = 1, *, inside: Place | None = None) -> str:
        return name

    result = asyncio.run(ask(take, text))
    assert result.is_error or result.text == msgspec.json.decode(text)["name"]
    assert "given" in asyncio.run(ask(Tool("take", "", {}, lambda **given: "given"), "{}")).text


@given(json_values())
def test_every_json_value_gives_a_text_that_says_it(value: Any) -> None:
    text = "".join(part.text for part in parts_of(value, limit_bytes=10**6) if isinstance(part, Text))
    assert text == value if isinstance(value, str) else msgspec.json.decode(text) == value


@given(st.lists(st.text() | any_media()), st.integers(1, 50))
def test_text_never_grows_beyond_its_limit_and_media_stay(items: list[Any], limit: int) -> None:
    parts = parts_of([*items, Text("end")], limit_bytes=limit)
    texts = [part.text for part in parts if isinstance(part, Text) and "were cut off here" not in part.text]
    assert len("".join(texts).encode()) <= limit
    assert [part for part in parts if not isinstance(part, Text)] == [
        each for each in items if not isinstance(each, str)
    ]


@given(json_values())
def test_a_problem_is_told_if_and_only_if_a_value_does_not_fit(value: Any) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
    found = list(problems(value, schema, schema))
    fine = (
        isinstance(value, dict)
        and set(value) <= {"x"}
        and all(
            not isinstance(each, bool) and isinstance(each, int | float) and each == int(each)
            for each in value.values()
        )
    )
    assert (found == []) is fine
    assert all(isinstance(each, Problem) for each in found)
