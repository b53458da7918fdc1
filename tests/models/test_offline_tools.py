"""Tools: which one a request names, with which arguments, and what is said of the results."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from multiturn.errors import RequestRejected
from multiturn.messages import Image, Inline, Message, Text, ToolCall, ToolResult, assistant, tool_result, user
from multiturn.models.offline.model import answer_to
from multiturn.path import Path
from multiturn.request import NamedTool, Request, Settings, ToolSpec

STRING, NUMBER, INTEGER, BOOLEAN = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))


def tool(name: str, description: str, required: list[str] | None = None, /, **properties: Any) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(schema)))


TOOLS = (
    tool("get_weather", "Weather for a city.", ["city"], city=STRING, unit={"enum": ["celsius", "fahrenheit"]}),
    tool("local_time", "The time of day somewhere", location=STRING),
    tool("multiply", "Multiplies two numbers", a=NUMBER, b=NUMBER),
    tool("searchDocs", "Search our documentation", ["query"], query=STRING, limit=INTEGER),
    tool("send_email", "Send an e-mail", to=STRING, subject=STRING, body=STRING),
    tool("convert_currency", "Convert an amount of money", amount=NUMBER, from_currency=STRING, to_currency=STRING),
    tool("roll_dice", "Rolls dice", [], sides=INTEGER, count=INTEGER),
    tool("create_reminder", "Set a reminder", ["text"], text=STRING, date=STRING),
    tool("switch_light", "Switch a lamp", room={"enum": ["attic", "cellar"]}, on=BOOLEAN),
    tool("book_train", "Books a seat", ["origin", "destination"], origin=STRING, destination=STRING,
         date={"type": "string", "format": "date"}, seats=INTEGER),
    tool("order_status", "Status of an order", order_id=STRING),
    tool("translate", "Translates a text", text=STRING, target_language=STRING),
    tool("average", "Average of numbers", values={"type": "array", "items": NUMBER}),
    tool("invite", "Invite guests", guests={"type": "array", "items": STRING}, vegan=BOOLEAN),
    tool("ping", "Ping the server"),
)  # fmt: skip


def run(*messages: str | Message, tools: tuple[ToolSpec, ...] = TOOLS, **settings: Any) -> Message:
    said = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return answer_to(Request(path=Path(), input=said, tools=tools, settings=Settings(**settings))).message


def calls(message: Message) -> list[tuple[str, Any]]:
    return [(call.name, msgspec.json.decode(call.arguments)) for call in message.tool_calls]


@pytest.mark.parametrize(
    ("request_", "name", "arguments"),
    [
        ("What's the weather like in Lima?", "get_weather", {"city": "Lima"}),
        ("Weather for New Delhi in fahrenheit please", "get_weather", {"city": "New Delhi", "unit": "fahrenheit"}),
        ("what time is it in Cairo", "local_time", {"location": "Cairo"}),
        ("Multiply 6 and 7.5", "multiply", {"a": 6, "b": 7.5}),
        ("use multiply with b=3 and a=4", "multiply", {"a": 4, "b": 3}),
        ("Search the docs for retry policy, limit 3", "searchDocs", {"query": "retry policy", "limit": 3}),
        ('Send an email to jo@x.example, subject "Lunch", saying shall we meet',
         "send_email", {"to": "jo@x.example", "subject": "Lunch", "body": "shall we meet"}),
        ("Convert 250 GBP to JPY",
         "convert_currency", {"amount": 250, "from_currency": "GBP", "to_currency": "JPY"}),
        ("Roll a 12 sided dice", "roll_dice", {"sides": 12}),
        ("roll three dice", "roll_dice", {"count": 3}),
        ("Remind me to water the plants tomorrow",
         "create_reminder", {"text": "water the plants", "date": "tomorrow"}),
        ("Switch the light in the attic on", "switch_light", {"room": "attic", "on": True}),
        ("turn the cellar light off", "switch_light", {"room": "cellar", "on": False}),
        ("Book a train from Basel to Milan on 2031-02-03 for 4 seats", "book_train",
         {"origin": "Basel", "destination": "Milan", "date": "2031-02-03", "seats": 4}),
        ("What's the status of my order B-7731?", "order_status", {"order_id": "B-7731"}),
        ("Translate 'see you soon' into Finnish", "translate", {"text": "see you soon", "target_language": "Finnish"}),
        ("the average of 3, 4.5 and 6", "average", {"values": [3, 4.5, 6]}),
        ("Invite Ann, Bob and Cy, vegan", "invite", {"guests": ["Ann", "Bob", "Cy"], "vegan": True}),
        ("ping!", "ping", {}),
    ],
)  # fmt: skip
def test_a_request_that_names_what_a_tool_does_calls_it(request_: str, name: str, arguments: dict[str, Any]) -> None:
    answer = run(request_)
    assert calls(answer) == [(name, arguments)]
    assert answer.finish_reason == "tool_calls"
    assert answer.text == ""


@pytest.mark.parametrize(
    "text",
    [
        "My name is Alice and I love the weather in Paris.",  # a statement
        "What is 6 * 7?",
        "Hello!",
        "Tell me a long story",
    ],
)
def test_other_messages_call_nothing(text: str) -> None:
    assert not run(text).tool_calls


def test_what_the_conversation_answers_needs_no_tool() -> None:
    lookup = tool("lookup_name", "Looks up a person's name", person=STRING)
    assert "Ivo" in run("My name is Ivo.", assistant("Hi"), "What's my name?", tools=(lookup,)).text


def test_two_places_are_two_calls() -> None:
    answer = run("How is the weather in Oslo and Turin?")
    assert calls(answer) == [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Turin"})]
    assert len({call.call_id for call in answer.tool_calls}) == 2


def test_three_places_in_lower_case_are_three_calls() -> None:
    cities = [arguments["city"] for _, arguments in calls(run("weather in oslo, turin and rome"))]
    assert cities == ["oslo", "turin", "rome"]


def test_two_tools_in_one_request() -> None:
    answer = run("What's the weather in Quito and what time is it in Delhi?")
    assert calls(answer) == [("get_weather", {"city": "Quito"}), ("local_time", {"location": "Delhi"})]


def test_without_parallel_calls_they_are_made_one_after_the_other() -> None:
    asked = user("Weather in Oslo and Turin?")
    first = run(asked, parallel_tool_calls=False)
    assert calls(first) == [("get_weather", {"city": "Oslo"})]
    result = tool_result(first.tool_calls[0].call_id, "3 °C")
    second = run(asked, first, result, parallel_tool_calls=False)
    assert calls(second) == [("get_weather", {"city": "Turin"})]
    last = run(
        asked, first, result, second, tool_result(second.tool_calls[0].call_id, "21 °C"), parallel_tool_calls=False
    )
    assert "Oslo" in last.text
    assert "3 °C" in last.text
    assert "21 °C" in last.text


def _with_result(text: str, result: object, **settings: Any) -> Message:
    asked = user(text)
    called = run(asked, **settings)
    results = [tool_result(call.call_id, result) for call in called.tool_calls]
    return run(asked, called, *results, **settings)


def test_results_are_quoted_and_the_call_is_not_made_again() -> None:
    answer = _with_result("What's the weather in Lima?", {"sky": "clear"})
    assert answer.text == 'From get_weather (city: Lima): {"sky":"clear"}'
    assert not answer.tool_calls


@pytest.mark.parametrize("choice", ["required", NamedTool("get_weather")])
def test_a_forced_call_is_made_once(choice: Any) -> None:
    assert "warm" in _with_result("Lima", "warm", tool_choice=choice).text


def test_what_else_the_message_says_is_answered_beside_the_results() -> None:
    answer = _with_result("I'm Ed. What's the weather in Lima and what is 2 + 3?", "warm")
    assert answer.text == "From get_weather (city: Lima): warm Nice to meet you, Ed. 2 + 3 = 5."


def test_a_failed_tool_is_reported_as_failed() -> None:
    called = assistant(ToolCall(call_id="c1", name="get_weather", arguments='{"city":"Lima"}'))
    answer = run("weather in Lima", called, tool_result("c1", "no such city", is_error=True))
    assert answer.text == "get_weather (city: Lima) failed: no such city"


def test_an_image_in_a_result_is_described() -> None:
    called = assistant(ToolCall(call_id="c1", name="ping"))
    image = Image(source=Inline(data=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x07\0\0\0\x05", media_type="image/png"))
    result = Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="here:"), image)),))
    assert "7x5" in run("ping", called, result).text


def test_a_later_turn_may_make_the_same_call_again() -> None:
    called = assistant(ToolCall(call_id="c1", name="get_weather", arguments='{"city":"Lima"}'))
    again = run(
        "weather in Lima", called, tool_result("c1", "warm"), assistant("Warm."), "And the weather in Lima now?"
    )
    assert calls(again) == [("get_weather", {"city": "Lima"})]
    assert again.tool_calls[0].call_id != "c1"


def test_a_message_that_goes_on_calls_the_same_tool() -> None:
    called = assistant(ToolCall(call_id="c1", name="get_weather", arguments='{"city":"Lima"}'))
    history = (user("weather in Lima"), called, tool_result("c1", "warm, 24 °C"), assistant("From get_weather: 24"))
    assert calls(run(*history, "and in Bergen?")) == [("get_weather", {"city": "Bergen"})]
    assert "= 48." in run(*history, "double it").text


def test_facts_fill_what_the_request_leaves_open() -> None:
    assert calls(run("I live in Graz.", assistant("ok"), "What's the weather?")) == [("get_weather", {"city": "Graz"})]


def test_tool_choice_none_calls_nothing() -> None:
    assert not run("What's the weather in Lima?", tool_choice="none").tool_calls


def test_tool_choice_required_calls_something() -> None:
    assert len(run("Good morning", tool_choice="required").tool_calls) == 1


def test_a_named_tool_is_called_whatever_is_said() -> None:
    assert calls(run("What time is it in Rome?", tool_choice=NamedTool("get_weather"))) == [
        ("get_weather", {"city": "Rome"})
    ]


def test_a_tool_whose_schema_holds_a_number_too_large_is_refused() -> None:
    odd = ToolSpec("f", parameters=msgspec.Raw(b'{"type": 1e999}'))
    with pytest.raises(RequestRejected, match="the parameters of 'f' cannot be read"):
        run("hi", tools=(odd,), tool_choice=NamedTool("f"))


def test_a_named_tool_must_be_offered() -> None:
    with pytest.raises(RequestRejected, match="offered are: get_weather"):
        run("hi", tools=TOOLS[:1], tool_choice=NamedTool("nope"))
    with pytest.raises(RequestRejected, match="no tools are offered"):
        run("hi", tools=(), tool_choice=NamedTool("nope"))


def test_call_ids_differ_between_turns_but_not_between_equal_requests() -> None:
    one = run("ping").tool_calls[0].call_id
    assert one == run("ping").tool_calls[0].call_id
    assert one != run("ping", assistant("pong"), "ping").tool_calls[0].call_id


def test_arguments_that_are_no_json_are_no_obstacle() -> None:
    called = assistant(ToolCall(call_id="c1", name="ping", arguments="{oops"))
    assert run("hello", called, tool_result("c1", "pong")).text == "From ping: pong"
