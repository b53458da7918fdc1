"""The JSON schema of a function's parameters: what is required, defaults, descriptions, definitions, the context."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import msgspec
import pydantic
import pytest

from multiturn.tools import ToolContext, tool
from schemas.examples import Cat, Colour
from tools.asking import ask, schema_of

CAT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "lives": {"type": "integer", "default": 9}},
    "required": ["name"],
}

# --- the object around them -----------------------------------------------------------------------------------------


def test_what_has_no_default_is_required_and_defaults_are_shown() -> None:
    def take(
        a: int,
        b: int = 5,
        *,
        c: Cat,
        d: Cat | None = None,
        e: Colour = Colour.RED,
        f: list[Colour] = [Colour.GREEN],  # noqa: B006
    ) -> None: ...

    schema = schema_of(take)
    assert schema["required"] == ["a", "c"]
    assert schema["properties"]["b"] == {"type": "integer", "default": 5}
    assert schema["properties"]["d"]["default"] is None
    assert schema["properties"]["e"]["default"] == "red"
    assert schema["properties"]["f"]["default"] == ["green"]


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
    assert 'b: expected a number, got "x"' in (await ask(take, {"a": 1, "b": "x"})).text
    assert "a: is missing" in (await ask(take, {"b": 1})).text


def test_keyword_arguments_of_any_type_allow_anything() -> None:
    def take(**others):  # type: ignore[no-untyped-def]
        ...

    assert schema_of(take)["additionalProperties"] is True


async def test_a_type_that_is_used_twice_is_defined_once() -> None:
    def take(a: Cat, b: Cat, c: Annotated[Cat, "the third"], d: list[Cat]) -> object:
        return [a, b, c, d]

    schema = schema_of(take)
    reference = {"$ref": "#/$defs/Cat"}
    assert schema["$defs"] == {"Cat": CAT}
    assert schema["properties"] == {
        "a": reference,
        "b": reference,
        "c": {"anyOf": [reference], "description": "the third"},  # nothing stands beside a $ref
        "d": {"type": "array", "items": reference},
    }
    cat = {"name": "x"}
    assert not (await ask(take, {"a": cat, "b": cat, "c": cat, "d": [cat]})).is_error


def test_a_type_that_is_used_once_stands_where_it_is_used_and_its_parameters_text_wins() -> None:
    def take(a: Annotated[Cat, "where"], b: Cat, c: Colour) -> None:
        """Takes.

        b: where else
        c: of what
        """

    def take_one(cat: Cat, colour: Colour) -> None:
        """Takes one.

        colour: of what
        """

    properties = schema_of(take)["properties"]
    assert [of["description"] for of in properties.values()] == ["where", "where else", "of what"]
    assert schema_of(take_one)["properties"] == {
        "cat": CAT,
        "colour": {"type": "string", "enum": ["red", "green"], "description": "of what"},
    }


def test_parameters_may_be_called_as_keywords_of_json_schema_are() -> None:
    def take(title: str, items: list[str], enum: str, required: bool = False) -> None: ...

    assert list(schema_of(take)["properties"]) == ["title", "items", "enum", "required"]


async def test_parameters_may_have_private_names() -> None:
    def take(__a: int, _b: int = 2, *, self: int = 3) -> list[int]:
        return [__a, _b, self]

    assert (await ask(take, {"__a": 1})).text == "[1,2,3]"


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
        e: Annotated[int, pydantic.Field(description="from Field")] = 1,
        f: Annotated[int, pydantic.Field(ge=1), "from Annotated"] = 1,
    ) -> None:
        """Takes.

        Args:
            a: from the docstring
            b: from the docstring
            c: from the docstring
            d: from the docstring
            e: from the docstring
            f: from the docstring
        """

    texts = {name: schema["description"] for name, schema in schema_of(take)["properties"].items()}
    assert texts == {
        "a": "from Annotated",
        "b": "from Meta",
        "c": "from the docstring",
        "d": "from Doc",
        "e": "from Field",
        "f": "from Annotated",
    }


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
    assert "run: is unknown; there are: a, b" in (await ask(take, {"a": 1, "run": {}})).text


async def test_neither_the_context_nor_self_comes_in_through_keyword_arguments() -> None:
    class Shop:
        @tool
        def sell(self, context: ToolContext, **others: str) -> str:
            return f"{context.call_id} {others}"

    assert (await ask(Shop().sell, {"item": "tea"})).text == "call_1 {'item': 'tea'}"
    assert "context: is unknown" in (await ask(Shop().sell, {"context": "x"})).text
    assert "self: is unknown" in (await ask(Shop().sell, {"self": "x"})).text
