"""Making tools: of every kind of callable, with every option; what is refused, and with which words."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest

from multiturn.errors import InvalidInput
from multiturn.request import ToolSpec
from multiturn.tools import Tool, ToolContext, ToolFailed, by_name, call, tool
from tools.asking import ask, asked, schema_of


@tool
def weather(city: str, unit: Literal["c", "f"] = "c") -> str:
    """The weather now.

    city: a city's name, in English
    """
    return f"{city}: 20 {unit}"


async def search(query: str) -> str:
    """Search the shop."""
    return f"found {query}"


class Shop:
    """A shop."""

    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    def sell(self, item: str) -> str:
        """Sell it.

        self: whoever sells
        item: what is sold
        """
        return f"{self.name} sold {item}"

    def buy(self, item: str) -> str:
        return f"{self.name} bought {item}"

    @classmethod
    @tool
    def describe(cls, loud: bool = False) -> str:
        return cls.__name__.upper() if loud else cls.__name__

    @staticmethod
    @tool
    def hours(day: str) -> str:
        return f"open on {day}"

    outside = weather

    @tool
    @functools.lru_cache  # noqa: B019
    def stock(self, item: str) -> int:
        return len(item)


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, number: int) -> int:
        """Add to a number."""
        return number + self.by


class AsyncAdder(Adder):
    async def __call__(self, number: int) -> int:  # type: ignore[override]
        return number + self.by


# --- what a model is told -------------------------------------------------------------------------------------------


def test_a_spec_is_name_description_and_schema() -> None:
    assert weather.spec == ToolSpec(
        name="weather",
        description="The weather now.",
        parameters=msgspec.Raw(msgspec.json.encode(schema_of(weather))),
        strict=None,
    )
    assert schema_of(weather) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "a city's name, in English"},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_options_say_more_and_win_over_the_function() -> None:
    made = tool(name="look-up", description="Finds.", strict=True, approval=True, repeatable=True, timeout_s=2.5)(
        search
    )
    assert (made.spec.name, made.spec.description, made.spec.strict) == ("look-up", "Finds.", True)
    assert (made.approval, made.repeatable, made.timeout_s) == (True, True, 2.5)


def test_a_tool_needs_no_docstring_and_no_parameters() -> None:
    def ping() -> str:
        return "pong"

    assert tool(ping).spec.description == ""
    assert schema_of(ping) == {"type": "object", "properties": {}, "additionalProperties": False}


# --- a tool is still the function -----------------------------------------------------------------------------------


async def test_a_tool_is_called_as_the_function_was() -> None:
    assert weather("Paris", unit="f") == "Paris: 20 f"
    assert await tool(search)("boots") == "found boots"
    assert weather.__name__ == "weather"
    assert weather.__doc__ == weather.func.__doc__
    assert list(inspect.signature(weather).parameters) == ["city", "unit"]
    assert repr(weather) == "<Tool weather>"


# --- every kind of callable -----------------------------------------------------------------------------------------


def fixed(key: str, city: str, *, unit: str = "c") -> str:
    """Fixed.

    key: secret
    city: where
    """
    return f"{key} {city} {unit}"


KINDS: list[tuple[Any, str, object, str]] = [
    (weather, "weather", {"city": "Paris"}, "Paris: 20 c"),
    (search, "search", {"query": "boots"}, "found boots"),
    (Shop("Ann's").sell, "sell", {"item": "tea"}, "Ann's sold tea"),
    (Shop("Ann's").buy, "buy", {"item": "tea"}, "Ann's bought tea"),
    (Shop("").stock, "stock", {"item": "tea"}, "3"),
    (Shop.describe, "describe", {"loud": True}, "SHOP"),
    (Shop("").describe, "describe", {}, "Shop"),
    (Shop.hours, "hours", {"day": "Monday"}, "open on Monday"),
    (Shop("").outside, "weather", {"city": "Paris"}, "Paris: 20 c"),  # without self it is no method
    (Adder(2), "Adder", {"number": 1}, "3"),
    (AsyncAdder(3), "AsyncAdder", {"number": 1}, "4"),
    (functools.partial(fixed, "k", unit="f"), "fixed", {"city": "Rome"}, "k Rome f"),
    (functools.partial(search), "search", {"query": "boots"}, "found boots"),
    (functools.partial(functools.partial(fixed, "k"), unit="f"), "fixed", {"city": "Rome"}, "k Rome f"),
    (tool(lambda text: text * 2, name="twice"), "twice", {"text": "ab"}, "abab"),
    (tool(lambda query: search(query), name="later"), "later", {"query": "boots"}, "found boots"),
    (math.pow, "pow", {"x": 2, "y": 3}, "8.0"),  # both by position only
    (ToolSpec, "ToolSpec", {"name": "x"}, '{"name":"x"}'),  # a class
    (functools.lru_cache(fixed), "fixed", {"key": "k", "city": "Rome"}, "k Rome c"),
]


@pytest.mark.parametrize(("func", "name", "arguments", "text"), KINDS)
async def test_whatever_can_be_called_can_be_a_tool(func: Any, name: str, arguments: object, text: str) -> None:
    assert list(by_name([func])) == [name]
    result = await ask(func, arguments)
    assert (result.text, result.is_error) == (text, False)


def test_what_a_partial_has_filled_is_not_shown() -> None:
    made = tool(functools.partial(fixed, key="sk-secret", unit="f"))
    assert b"secret" not in bytes(made.spec.parameters)
    assert schema_of(made)["properties"] == {"city": {"type": "string", "description": "where"}}
    assert made.description == "Fixed."


async def test_each_instance_has_its_own_tool_and_shares_the_rest() -> None:
    ann, bob = Shop("Ann"), Shop("Bob")
    assert (await ask(ann.sell, {"item": "tea"})).text == "Ann sold tea"
    assert (await ask(bob.sell, {"item": "tea"})).text == "Bob sold tea"
    assert ann.sell.arguments is bob.sell.arguments
    assert ann.sell("tea") == "Ann sold tea"
    assert Shop.sell(ann, "tea") == "Ann sold tea"


def test_self_is_not_shown() -> None:
    assert schema_of(Shop.sell)["properties"] == {"item": {"type": "string", "description": "what is sold"}}
    assert Shop.sell.description == "Sell it."


# --- what is refused ------------------------------------------------------------------------------------------------


def takes_any_number(*numbers: int) -> None: ...


def takes_what_is_not_there(value: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821, UP037


def takes_a_callback(value: Callable[[], None]) -> None: ...


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: tool(lambda x: x), r"cannot be called '<lambda>'; give a name .*tool\(name=…\)"),
    (lambda: tool(search, name="with space"), "cannot be called 'with space'"),
    (lambda: tool(search, name="n" * 65), "1 to 64"),
    (lambda: tool(search, name="ümlaut"), "ümlaut"),
    (lambda: tool(search, name="trailing\n"), "trailing"),
    (lambda: tool(takes_any_number), r"tool 'takes_any_number': a model cannot fill `\*args`; take a list"),
    (lambda: tool(takes_what_is_not_there), "'Nowhere' is not defined"),
    (lambda: tool(takes_a_callback), "parameter 'value': there is no JSON schema of .*Callable"),
    (lambda: tool(max), "its parameters cannot be seen .* wrap it"),
    (lambda: tool(5), "something to call, not of 5"),  # type: ignore[call-overload]
    (lambda: tool(classmethod(lambda cls: cls)), "@classmethod goes above @tool"),  # type: ignore[call-overload]
    (lambda: tool(search, timeout_s=0), "timeout_s must be more than 0"),
    (lambda: tool(search, errors="none"), "errors is one of message, type, full"),  # type: ignore[call-overload]
    (lambda: tool(search, max_result_bytes=0), "max_result_bytes"),
    (lambda: by_name([search, tool(search)]), "two tools are called 'search'; give one of them another name"),
    (lambda: by_name([Shop.sell]), r"'sell' is a method without its instance; give that of one: shop\.sell"),
    (lambda: by_name([Shop.buy]), "'buy' is a method without its instance"),
    (lambda: Tool("x", "", {"type": "array"}, search), "must be the JSON schema of an object"),
    (lambda: Tool("x", "", {"properties": []}, search), "must be the JSON schema of an object"),
    (lambda: Tool("x", "", None, None), "tool 'x': without a function it needs `parameters`"),
    (lambda: Tool("x", "", b"{", search), "tool 'x': `parameters` is not a JSON schema"),
    (lambda: Tool("x", "", b"[]", search), "is not a JSON schema"),
    (lambda: Tool("x", "", {"default": object()}, search), "is not a JSON schema"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_a_tool_is_refused_with_a_sentence(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


# --- by name --------------------------------------------------------------------------------------------------------


def test_tools_are_found_by_name_in_the_order_given() -> None:
    found = by_name([search, weather])
    assert list(found) == ["search", "weather"]
    assert found["weather"] is weather
    assert by_name([]) == {}


# --- a JSON schema of one's own -------------------------------------------------------------------------------------

OWN = {"type": "object", "properties": {"n": {"type": "integer"}, "to-whom": {"type": "string"}}, "required": ["n"]}


@pytest.mark.parametrize("parameters", [OWN, msgspec.json.encode(OWN), msgspec.Raw(msgspec.json.encode(OWN))])
async def test_a_schema_of_ones_own_is_shown_as_it_is_and_kept_to(parameters: Any) -> None:
    def take(**given: object) -> object:
        return given

    made = Tool("take", "Takes.", parameters, take)
    assert made.spec == ToolSpec("take", "Takes.", msgspec.Raw(msgspec.json.encode(OWN)))
    assert (await ask(made, {"n": 1, "to-whom": "Ann"})).text == '{"n":1,"to-whom":"Ann"}'
    wrong = await ask(made, {"n": "1"})
    assert wrong.is_error
    assert 'n: expected an integer, got "1"; n wants {"type":"integer"}' in wrong.text


def test_a_schema_in_bytes_is_shown_byte_for_byte() -> None:
    text = b'{ "type": "object",  "properties": {"n": {"type": "integer"}} }'
    assert bytes(Tool("take", "", text, search).spec.parameters) == text


def test_an_empty_schema_is_one_of_no_parameters() -> None:
    assert schema_of(Tool("take", "", {}, search)) == {"type": "object", "properties": {}}


async def test_a_schema_of_ones_own_gets_the_context_too_and_no_model_can_give_it() -> None:
    def take(context: ToolContext, **given: object) -> str:
        return f"{context.call_id} {given}"

    made = Tool("take", "", {}, take)
    assert (await ask(made, {"n": 1})).text == "call_1 {'n': 1}"
    assert "context: is unknown" in (await ask(made, {"context": {}})).text


async def test_a_schema_of_ones_own_suits_a_function_of_any_annotations() -> None:
    def take(value: "Nowhere", context: ToolContext) -> str:  # type: ignore[name-defined] # noqa: F821, UP037
        return f"{value} {context.call_id}"

    made = Tool("take", "", {"properties": {"value": {}}}, take)
    assert (await ask(made, {"value": [1]})).text == "[1] call_1"


async def test_what_the_schema_allows_and_the_function_does_not_take_is_the_functions_error() -> None:
    made = Tool("take", "", {}, search)
    result = await ask(made, {"unheard": 1})
    assert result.is_error
    assert result.text.startswith("TypeError: ")


async def test_a_tool_without_a_function_is_run_elsewhere() -> None:
    made: Tool[..., Any] = Tool("scan", "Scans.", OWN, None)
    assert (made.func, made.is_async, made.is_method) == (None, False, False)
    assert schema_of(made) == OWN
    assert not made.needs_approval(asked("scan", {"n": 1}))
    assert "n: is missing" in (await ask(made, {})).text
    result = await ask(made, {"n": 1})
    assert (result.text, result.is_error) == ("scan is not run here", True)
    with pytest.raises(ToolFailed, match="scan is not run here"):
        made(1)


# --- approval -------------------------------------------------------------------------------------------------------


def transfer(amount: int, to: str = "savings") -> str:
    return f"{amount} to {to}"


def fails(arguments: dict[str, Any]) -> bool:
    return bool(arguments["nowhere"])


@pytest.mark.parametrize(
    ("approval", "arguments", "needed"),
    [
        (True, {"amount": 1}, True),
        (False, {"amount": 1}, False),
        (True, {"amount": "much"}, False),  # nothing will be called
        (True, "{", False),
        (lambda given: given["amount"] > 100, {"amount": 101}, True),
        (lambda given: given["amount"] > 100, {"amount": 100}, False),
        (lambda given: given["to"] == "savings", {"amount": 1}, True),  # defaults are filled in
        (lambda given: True, {"amount": "much"}, False),
        (fails, {"amount": 1}, True),
    ],
)
def test_approval_is_asked_for_calls_that_will_be_made(approval: Any, arguments: object, needed: bool) -> None:
    made = tool(transfer, approval=approval)
    assert made.needs_approval(asked("transfer", arguments)) is needed


async def test_a_name_that_no_tool_has_is_answered_with_those_there_are() -> None:
    result = await call(by_name([search, weather]), asked("serach"), ToolContext(call_id="call_1"))
    assert result.is_error
    assert result.name == "serach"
    assert result.text == "there is no tool 'serach'; there are: search, weather"
    assert (await call({}, asked("x"), ToolContext(call_id=""))).text == "there is no tool 'x'; there are none"
