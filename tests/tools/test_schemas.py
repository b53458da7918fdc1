"""The JSON schema of a function's types: what each type becomes, descriptions, defaults, definitions."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import msgspec
import pytest

from multiturn.tools import ToolContext, tool
from multiturn.tools.schemas import short
from tools.asking import ask, property_of, schema_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    BIG = 2


@dataclasses.dataclass
class Place:
    """Somewhere."""

    name: str
    floor: int = 0


class Box(TypedDict, total=False):
    width: int


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    age: int


class Folder(msgspec.Struct):
    """Folders in folders."""

    folders: list[Folder] = []


PLACE = {
    "description": "Somewhere.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "floor": {"type": "integer", "default": 0}},
    "required": ["name"],
}
TYPES: list[tuple[Any, dict[str, Any]]] = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (
        Optional[int],  # noqa: UP045
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    ),
    (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    (list, {"type": "array"}),
    (list[int], {"type": "array", "items": {"type": "integer"}}),
    (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (Literal["b", "a"], {"type": "string", "enum": ["a", "b"]}),
    (Literal["a", 1, None], {"type": ["null", "integer", "string"], "enum": [None, 1, "a"]}),
    (Colour, {"type": "string", "enum": ["blue", "red"]}),
    (Size, {"type": "integer", "enum": [1, 2]}),
    (datetime.datetime, {"type": "string", "format": "date-time"}),
    (
        list[datetime.datetime | None],
        {"type": "array", "items": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}},
    ),
    (datetime.date, {"type": "string", "format": "date"}),
    (datetime.time, {"type": "string", "format": "time"}),
    (datetime.timedelta, {"type": "string", "format": "duration"}),
    (uuid.UUID, {"type": "string", "format": "uuid"}),
    (decimal.Decimal, {"type": "string", "format": "decimal"}),
    (Place, PLACE),
    (list[Place], {"type": "array", "items": PLACE}),
    (Box, {"type": "object", "properties": {"width": {"type": "integer"}}}),
    (
        Annotated[int, msgspec.Meta(ge=1, description="how many")],
        {"type": "integer", "minimum": 1, "description": "how many"},
    ),
    (Annotated[int, {"no": "hash"}], {"type": "integer"}),
    (Annotated[datetime.datetime, "when"], {"type": "string", "format": "date-time", "description": "when"}),
    (
        tuple[int, str],
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "items": False,
        },
    ),
    (
        Pair,
        {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "prefixItems": [{"type": "integer"}, {"type": "string", "default": "r"}],
        },
    ),
    (
        Cat | Dog,  # OpenAPI's discriminator is gone
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"type": {"type": "string", "enum": [kind]}, field: {"type": "integer"}},
                    "required": ["type", field],
                }
                for kind, field in (("Cat", "lives"), ("Dog", "age"))
            ]
        },
    ),
    (
        Folder,  # what refers to itself stays a definition
        {
            "$ref": "#/$defs/Folder",
            "$defs": {
                "Folder": {
                    "description": "Folders in folders.",
                    "type": "object",
                    "properties": {"folders": {"type": "array", "items": {"$ref": "#/$defs/Folder"}, "default": []}},
                }
            },
        },
    ),
]


@pytest.mark.parametrize(("hint", "schema"), TYPES, ids=[str(hint) for hint, _ in TYPES])
def test_every_type_has_its_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert property_of(hint) == schema


# --- the object around them -----------------------------------------------------------------------------------------


def test_what_has_no_default_is_required_and_defaults_are_shown() -> None:
    def take(a: int, b: int = 5, *, c: Place, d: Place | None = None, e: Colour = Colour.RED) -> None: ...

    schema = schema_of(take)
    assert schema["required"] == ["a", "c"]
    assert schema["properties"]["b"] == {"type": "integer", "default": 5}
    assert schema["properties"]["d"]["default"] is None
    assert schema["properties"]["e"]["default"] == "red"


def test_a_default_of_none_lets_null_in_whatever_the_type_says() -> None:
    def take(a: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013

    assert schema_of(take)["properties"]["a"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}


def test_a_default_that_json_cannot_say_is_not_shown() -> None:
    def take(a: Any = object(), b: Any = ...) -> None: ...

    assert schema_of(take)["properties"] == {"a": {}, "b": {}}


async def test_a_parameter_without_a_type_takes_anything() -> None:
    def take(a, b=1):  # type: ignore[no-untyped-def]
        return [a, b]

    assert schema_of(take)["properties"] == {"a": {}, "b": {"default": 1}}
    assert (await ask(take, {"a": {"x": [None]}})).text == '[{"x":[null]},1]'


async def test_keyword_arguments_are_additional_properties() -> None:
    def take(a: int, **others: float) -> object:
        return others

    schema = schema_of(take)
    assert schema["additionalProperties"] == {"type": "number"}
    assert list(schema["properties"]) == ["a"]
    assert (await ask(take, {"a": 1, "b": 2, "others": 3})).text == '{"b":2.0,"others":3.0}'
    assert "b: Expected `float`, got `str`" in (await ask(take, {"a": 1, "b": "x"})).text


def test_keyword_arguments_of_any_type_allow_anything() -> None:
    def take(**others):  # type: ignore[no-untyped-def]
        ...

    assert schema_of(take)["additionalProperties"] is True


async def test_a_type_that_is_used_twice_is_defined_once() -> None:
    def take(a: Place, b: Place, c: Annotated[Place, "the third"], d: list[Place]) -> object:
        return [a, b, c, d]

    schema = schema_of(take)
    reference = {"$ref": "#/$defs/Place"}
    assert schema["$defs"] == {"Place": PLACE}
    assert schema["properties"] == {
        "a": reference,
        "b": reference,
        "c": {"anyOf": [reference], "description": "the third"},  # nothing stands beside a $ref
        "d": {"type": "array", "items": reference},
    }
    place = {"name": "x"}
    assert not (await ask(take, {"a": place, "b": place, "c": place, "d": [place]})).is_error


def test_a_type_that_is_used_once_stands_where_it_is_used_and_its_parameters_text_wins() -> None:
    def take(a: Annotated[Place, "where"]) -> None: ...

    assert schema_of(take)["properties"]["a"] == {**PLACE, "description": "where"}


def test_properties_are_not_taken_for_keywords() -> None:
    """A parameter may be called as a keyword of JSON schema is."""

    def take(title: str, items: list[str], enum: str, required: bool = False) -> None: ...

    assert list(schema_of(take)["properties"]) == ["title", "items", "enum", "required"]
    assert short({"properties": {"title": {"title": "Title", "default": {"title": 1}}}}) == {
        "properties": {"title": {"default": {"title": 1}}}
    }


# --- descriptions ---------------------------------------------------------------------------------------------------


class Doc:
    """As in PEP 727 and typing_extensions."""

    def __init__(self, documentation: str) -> None:
        self.documentation = documentation


def test_an_annotated_text_wins_over_the_docstring() -> None:
    def take(
        a: Annotated[int, "from Annotated"],
        b: Annotated[int, msgspec.Meta(description="from Meta")],
        c: int,
        d: Annotated[int | None, Doc("from Doc")] = None,
    ) -> None:
        """Takes.

        Args:
            a: from the docstring
            b: from the docstring
            c: from the docstring
            d: from the docstring
        """

    texts = {name: schema["description"] for name, schema in schema_of(take)["properties"].items()}
    assert texts == {"a": "from Annotated", "b": "from Meta", "c": "from the docstring", "d": "from Doc"}


# --- the context ----------------------------------------------------------------------------------------------------


class OwnContext(ToolContext):
    """A caller's own."""


@pytest.mark.parametrize(
    "hint",
    [ToolContext, ToolContext | None, Optional[ToolContext], OwnContext, Annotated[ToolContext, "x"]],  # noqa: UP045
)
async def test_the_context_is_filled_in_and_not_shown(hint: Any) -> None:
    def take(a: int, run: Any, b: int = 2) -> str:
        """Takes.

        run: the run
        """
        return f"{a} {b} {run.call_id}"

    take.__annotations__["run"] = hint
    assert list(schema_of(take)["properties"]) == ["a", "b"]
    assert tool(take).description == "Takes."
    assert (await ask(take, {"a": 1})).text == "1 2 call_1"
    assert "run: unknown; there are: a, b" in (await ask(take, {"a": 1, "run": {}})).text


async def test_neither_the_context_nor_self_comes_in_through_keyword_arguments() -> None:
    class Shop:
        @tool
        def sell(self, context: ToolContext, **others: str) -> str:
            return f"{context.call_id} {others}"

    assert (await ask(Shop().sell, {"item": "tea"})).text == "call_1 {'item': 'tea'}"
    assert "context: unknown" in (await ask(Shop().sell, {"context": "x"})).text
    assert "self: unknown" in (await ask(Shop().sell, {"self": "x"})).text
