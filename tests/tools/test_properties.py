"""For any type: the schema accepts what is read, values come back equal, msgspec at once reads what the kinds read, and
no text makes a call raise."""

from __future__ import annotations

import asyncio
import builtins
import datetime
import decimal
import types
import typing
import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pydantic
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.messages import Audio, File, Image, Text, Video
from multiturn.schemas import Decoder, Mismatch, strict
from multiturn.schemas.checking import fits, problems, without_nulls
from multiturn.tools import Tool, tool
from multiturn.tools.arguments import InvalidArguments
from multiturn.tools.results import parts_of
from schemas.examples import Circle, Colour, Hiker, Item, Point, Square, Tree
from strategies import any_media
from tools.asking import ask, schema_of

Media = Image | Audio | Video | File

SINGLE: list[Any] = [int, float, str, bool, None, Literal["a", "b", 3], Colour, Tree, Hiker, datetime.date, uuid.UUID]
MORE: list[Any] = [*SINGLE, Any, dict, Point, Circle | Square, Item, Item | Tree, datetime.datetime, decimal.Decimal]
MORE += [int | str, set[str], float | int, dict[int, str], dict[Colour, int], Literal[1, None], Sequence[int]]
MORE += [Annotated[int, msgspec.Meta(ge=2)], Annotated[int, pydantic.Field(ge=2)], object, Iterable[str]]


def any_hint(single: list[Any] = SINGLE) -> st.SearchStrategy[Any]:
    def several(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            inner.map(lambda hint: types.GenericAlias(list, (hint,))),
            inner.map(lambda hint: types.GenericAlias(dict, (str, hint))),
            inner.map(lambda hint: types.GenericAlias(tuple, (hint, int))),
            inner.map(lambda hint: hint if hint is None else hint | None),
        )

    return st.recursive(st.sampled_from(single), several, max_leaves=3)


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
    if hint is Hiker:
        return st.fixed_dictionaries({"name": st.text()}, optional={"boots": st.integers()})
    return trees() if hint is Tree else st.from_type(hint) if hint else st.none()


def trees(depth: int = 2) -> st.SearchStrategy[Tree]:
    branch = st.none() | trees(depth - 1) if depth else st.none()
    return st.builds(Tree, st.integers(), branch, branch)


def json_values() -> st.SearchStrategy[Any]:
    one = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5)
    )
    names = st.sampled_from(["name", "boots", "value", "left", "x", "type", "radius", "price", "3"])
    one |= st.sampled_from(["a", "b", 3, 3.0, "3", "red", "circle", "2026-01-02", "2026-01-02T03:04:05Z", "1.5"])
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
def test_what_is_read_the_schema_takes_but_for_nulls_that_stand_for_nothing(hint: Any, value: Any) -> None:
    made = taking(hint)
    schema = schema_of(made)
    if reads(made, value):
        assert fits(without_nulls({"value": value}, schema, schema), schema, schema)


@settings(max_examples=150, deadline=None)
@given(any_hint(MORE), json_values())
def test_a_tool_reads_what_the_kind_of_its_parameter_reads(hint: Any, value: Any) -> None:
    """The one is msgspec's, at once; the other goes step by step."""
    made = taking(hint)
    try:
        read = Decoder[Any](hint).decode(value)
    except Mismatch:
        assert not reads(made, value)
    else:
        assert repr(made.arguments.read(msgspec.json.encode({"value": value}).decode())["value"]) == repr(read)


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
    def take(name: str, boots: int = 1, *, left: Tree | None = None) -> str:
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
