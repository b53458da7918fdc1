"""Requests of the Messages API: whole bodies, turns strung together, and that the API would take them all."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from anthropic.lib._parse._transform import transform_schema
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from multiturn.errors import InvalidInput
from multiturn.formats import anthropic
from multiturn.formats.anthropic import Dialect, encode_messages, encode_request
from multiturn.formats.anthropic.pairing import NO_RESULT
from multiturn.formats.anthropic.requests import OPENING
from multiturn.formats.anthropic.schemas import strict_schema
from multiturn.formats.base import Format
from multiturn.formats.switching import Switching
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    ToolCall,
    ToolResult,
    Uploaded,
    assistant,
    developer,
    system,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from multiturn.turns import Turn
from strategies import any_conversation, some_words
from upstream_anthropic import problem_of

FORMAT: Format[Dialect] = anthropic  # the module is a format; mypy checks it

CLAUDE = Dialect()
BUDGET = Dialect(thinking="budget", cache=False)
WITH_SYSTEM = Dialect(system_role=True)
BY_CLAUDE = Origin("anthropic", "claude", "anthropic")
CALL = ToolCall("toolu_1", "f", '{"x":1}')
USED = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}
NONE = {"type": "tool_result", "tool_use_id": "toolu_1", "content": NO_RESULT, "is_error": True}
LATE = [{"type": "text", "text": "[result of tool call toolu_1]"}, {"type": "text", "text": "r"}]
BEGUN = {"role": "user", "content": OPENING}


def turn(n: int, *messages: Message) -> Turn:
    """A turn that begins with the first message and has the others for output."""
    return Turn(id=f"turn_{n}", conversation="c", input=messages[:1], output=messages[1:])


def body(
    *turns: Turn,
    input: Sequence[Message] = (),
    dialect: Dialect = CLAUDE,
    history: Sequence[bytes] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    request = Request(path=Path(turns), input=tuple(input), **asked)
    if history is None:
        history = [encode_messages(turn.messages, dialect) for turn in turns]
    found: dict[str, Any] = json.loads(encode_request(request, history, model="m", dialect=dialect))
    return found


# --- whole requests -------------------------------------------------------------------------------------------------

SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"number"}}}')
FREE_TEXT = '{"type":"object","additionalProperties":{"type":"number"}}'
FREE = msgspec.Raw(FREE_TEXT.encode())
WISH = "Answer with one JSON object and nothing else."
INSTANCE = "It must be an instance of this JSON schema:"
STRICT = {"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": False}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CACHE = {"cache_control": {"type": "ephemeral"}}
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8192, **CACHE}
THINKING = {"max_tokens": 32768, "thinking": {"type": "adaptive", "display": "summarized"}}

CHOICES: list[tuple[Settings, dict[str, Any]]] = [
    (Settings(tool_choice="required"), {"tool_choice": {"type": "any"}}),
    (Settings(tool_choice="auto", parallel_tool_calls=True), {"tool_choice": {"type": "auto"}}),
    (Settings(tool_choice="none", parallel_tool_calls=False), {"tool_choice": {"type": "none"}}),
    (Settings(parallel_tool_calls=False), {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
    (Settings(parallel_tool_calls=True), {}),
]
REQUESTS: list[tuple[Dialect, dict[str, Any], dict[str, Any]]] = [
    # nothing but a word
    (CLAUDE, {}, HI),
    # no caching, another default
    (
        Dialect(cache=False, max_tokens=9),
        {},
        {"model": "m", "messages": HI["messages"], "max_tokens": 9},
    ),
    # every plain setting; one choice is what there is
    (
        CLAUDE,
        {
            "settings": Settings(
                temperature=0.0, top_p=0.5, max_output_tokens=9, stop=("a", "b"), choices=1, store=False
            )
        },
        HI | {"temperature": 0.0, "top_p": 0.5, "max_tokens": 9, "stop_sequences": ["a", "b"]},
    ),
    # streaming
    (CLAUDE, {"stream": True}, HI | {"stream": True}),
    # instructions
    (CLAUDE, {"instructions": "be brief"}, HI | {"system": "be brief"}),
    (CLAUDE, {"instructions": " "}, HI),
    # thinking: as an effort, the least, none at all, as much as is said, hidden
    (CLAUDE, {"settings": Settings(reasoning_effort="max")}, HI | THINKING | {"output_config": {"effort": "max"}}),
    (CLAUDE, {"settings": Settings(reasoning_effort="minimal")}, HI | THINKING | {"output_config": {"effort": "low"}}),
    (CLAUDE, {"settings": Settings(reasoning_effort="none")}, HI | {"thinking": {"type": "disabled"}}),
    (
        Dialect(thinking_display=None),
        {"settings": Settings(reasoning_effort="low", max_output_tokens=50)},
        HI | {"max_tokens": 50, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    ),
    # ... and as a budget
    (
        Dialect(thinking="budget"),
        {"settings": Settings(reasoning_effort="high")},
        HI | {"max_tokens": 32768, "thinking": {"type": "enabled", "budget_tokens": 26214}},
    ),
    (
        Dialect(thinking="budget"),
        {"settings": Settings(reasoning_effort="odd", max_output_tokens=1100)},
        HI | {"max_tokens": 1100, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    # a caller's own way of thinking needs room too
    (
        CLAUDE,
        {"settings": Settings(extra={"thinking": {"type": "enabled", "budget_tokens": 20000}})},
        HI | {"max_tokens": 32768, "thinking": {"type": "enabled", "budget_tokens": 20000}},
    ),
    # tools, with a choice among them
    (
        CLAUDE,
        {
            "tools": (ToolSpec("f", "does f", SCHEMA, strict=True), ToolSpec("g")),
            "settings": Settings(tool_choice=NamedTool("f"), parallel_tool_calls=False),
        },
        HI
        | {
            "tools": [
                {"name": "f", "description": "does f", "input_schema": STRICT, "strict": True},
                {"name": "g", "input_schema": {"type": "object", "properties": {}}},
            ],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        },
    ),
    *(
        (
            CLAUDE,
            {"tools": (ToolSpec("g"),), "settings": settings},
            HI | {"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}}}]} | chosen,
        )
        for settings, chosen in CHOICES
    ),
    # a choice without tools is refused by the API, so it is not sent
    (CLAUDE, {"settings": Settings(tool_choice="required", parallel_tool_calls=False)}, HI),
    # ... unless the tools are extra
    (
        CLAUDE,
        {"settings": Settings(tool_choice="required", extra={"tools": [SEARCH]})},
        HI | {"tools": [SEARCH], "tool_choice": {"type": "any"}},
    ),
    # a typed answer, with an effort
    (
        CLAUDE,
        {"settings": Settings(output=OutputSchema(SCHEMA, "point", "a point"), reasoning_effort="low")},
        HI | THINKING | {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": STRICT}}},
    ),
    # ... that the API cannot hold the model to, of a server that takes none, and any JSON: told in words
    (
        CLAUDE,
        {"settings": Settings(output=OutputSchema(FREE)), "instructions": "i"},
        HI | {"system": [{"type": "text", "text": "i"}, {"type": "text", "text": f"{WISH} {INSTANCE}\n{FREE_TEXT}"}]},
    ),
    (
        Dialect(schemas=False),
        {"settings": Settings(output=OutputSchema(SCHEMA))},
        HI | {"system": f"{WISH} {INSTANCE}\n{bytes(SCHEMA).decode()}"},
    ),
    (CLAUDE, {"settings": Settings(output=OutputSchema())}, HI | {"system": WISH}),
    # a strict tool whose arguments have free keys cannot be strict
    (
        CLAUDE,
        {"tools": (ToolSpec("f", "", FREE, strict=True),)},
        HI | {"tools": [{"name": "f", "input_schema": json.loads(FREE_TEXT)}]},
    ),
    # extra wins over what we set, the model and the cache included
    (
        CLAUDE,
        {"settings": Settings(temperature=1.0, extra={"model": "other", "cache_control": None, "top_k": 3})},
        HI | {"model": "other", "temperature": 1.0, "cache_control": None, "top_k": 3},
    ),
]


@pytest.mark.parametrize(("dialect", "asked", "expected"), REQUESTS)
def test_a_request_on_the_wire(dialect: Dialect, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(input=[user("hi")], dialect=dialect, **asked) == expected
    assert problem_of(expected) is None


def test_a_request_byte_for_byte() -> None:
    path = Path([turn(1, user("a"), assistant("b"))])
    request = Request(path=path, input=(user("c"),), instructions="i", settings=Settings(extra={"top_k": 1}))
    history = path.encoded(CLAUDE, lambda messages: encode_messages(messages, CLAUDE))
    assert encode_request(request, history, model="m", dialect=CLAUDE) == (
        b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},'
        b'{"role":"user","content":"c"}],"max_tokens":8192,"system":"i","cache_control":{"type":"ephemeral"},"top_k":1}'
    )


def test_the_path() -> None:
    assert anthropic.path(model="m", stream=True) == "/v1/messages"


MISSING: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "anthropic does not take a seed; leave settings.seed out"),
    ({"presence_penalty": 0.1}, "a presence penalty"),
    ({"frequency_penalty": 0.1}, "a frequency penalty"),
    ({"choices": 2}, "one answer at a time"),
    ({"extra": {"messages": []}}, "cannot replace 'messages'"),
    ({"extra": {"stream": True}}, "cannot replace 'stream'"),
    ({"extra": {"x": object()}}, "JSON"),
    ({"extra": {"x": "\ud83d"}}, "JSON"),
]


@pytest.mark.parametrize(("settings", "problem"), MISSING)
def test_a_setting_that_the_api_has_not_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user("hi")], settings=Settings(**settings))


def test_too_little_room_to_think_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 1024 tokens"):
        body(input=[user("hi")], dialect=BUDGET, settings=Settings(reasoning_effort="low", max_output_tokens=1024))


def test_extra_settings_are_not_changed() -> None:
    extra = {"model": "x", "nested": {"a": [1]}}
    before = copy.deepcopy(extra)
    body(input=[user("hi")], settings=Settings(temperature=1, extra=extra))
    assert extra == before


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (Audio(Inline(b"RIFF", "audio/wav")), "m cannot read audio input"),
        (File(Uploaded("file-1", "openai")), "held by openai"),
    ],
)
def test_input_that_cannot_be_read_is_refused(part: Part, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        body(input=[user(part)])


def test_or_described_where_that_is_the_policy() -> None:
    dialect = Dialect(switching=Switching(media="describe"))
    found = body(input=[user(Audio(Inline(b"", "audio/ogg")))], dialect=dialect)
    assert found["messages"] == [{"role": "user", "content": "[audio (audio/ogg), not shown]"}]


# --- the start, and nothing -----------------------------------------------------------------------------------------

STARTS: list[tuple[list[Turn], list[Message], str | None, Any, list[dict[str, Any]]]] = [
    # what the system says first is the top-level system, of a first input and of a history, after the instructions
    ([], [system("s"), user("a")], None, "s", [{"role": "user", "content": "a"}]),
    (
        [],
        [system("s"), developer("d", Image(Inline(b"\x89PNG", "image/png"))), user("a")],
        "i",
        [
            {"type": "text", "text": "i"},
            {"type": "text", "text": "s"},
            {"type": "text", "text": "d\n\n[image (image/png), not shown]"},
        ],
        [{"role": "user", "content": "a"}],
    ),
    (
        [turn(1, system("s"), user("a"), assistant("b"))],
        [user("c")],
        None,
        "s",
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    ),
    # ... but not what it says at the start of a later turn
    (
        [turn(1, user("a"), assistant("b"))],
        [system("s"), user("c")],
        "i",
        "i",
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system>\ns\n</system>"},
                    {"type": "text", "text": "c"},
                ],
            },
        ],
    ),
    # a history that begins with the model, or with a result of a turn that is no longer shown
    (
        [turn(1, assistant("b"))],
        [user("c")],
        None,
        None,
        [BEGUN, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
    ),
    (
        [turn(1, system("s"), assistant("b"))],
        [user("c")],
        None,
        "s",
        [BEGUN, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
    ),
    (
        [],
        [tool_result("toolu_1", "r")],
        None,
        None,
        [{"role": "user", "content": LATE}],
    ),
    # nothing but the system's words
    ([], [], "i", "i", [BEGUN]),
    ([], [system("s")], None, "s", [BEGUN]),
    # a turn with no new words: what was said last is answered
    ([turn(1, user("a"))], [], None, None, [{"role": "user", "content": "a"}]),
]


@pytest.mark.parametrize(("turns", "input", "instructions", "top", "messages"), STARTS)
def test_how_a_request_starts(
    turns: list[Turn], input: list[Message], instructions: str | None, top: Any, messages: list[dict[str, Any]]
) -> None:
    found = body(*turns, input=input, instructions=instructions)
    assert found.get("system") == top
    assert found["messages"] == messages
    assert problem_of(found) is None


def test_the_system_may_have_the_last_word_and_is_heard_alike_once_it_was_answered() -> None:
    asked = body(input=[user("a"), system("s")], dialect=WITH_SYSTEM)["messages"]
    assert asked == [{"role": "user", "content": "a"}, {"role": "system", "content": "s"}]
    later = body(turn(1, user("a"), system("s"), assistant("b")), input=[user("c")], dialect=WITH_SYSTEM)
    assert later["messages"][:2] == asked


@pytest.mark.parametrize("input", [[], [user("")], [Message("assistant")]])
def test_nothing_to_say_is_refused(input: list[Message]) -> None:
    with pytest.raises(InvalidInput, match="nothing to send"):
        body(input=input)


def test_an_empty_message_after_a_history_is_refused_for_it_would_have_the_model_go_on_from_its_own_words() -> None:
    with pytest.raises(InvalidInput, match="the new message is empty"):
        body(turn(1, user("a"), assistant("b")), input=[user(" ")])


def test_words_that_the_model_is_to_go_on_from_end_without_white_space() -> None:
    said = [user("a"), assistant("The answer is: \n")]
    for found in (body(input=said), body(turn(1, *said))):
        assert found["messages"][-1] == {"role": "assistant", "content": "The answer is:"}


# --- turns strung together ------------------------------------------------------------------------------------------


def test_the_history_is_joined_and_never_looked_at() -> None:
    unsendable = user("\ud83d")  # encoding it would raise
    found = body(turn(1, unsendable), turn(2, unsendable), input=[user("hi")], history=[b"[1]", b"[2],[3]"])
    assert found["messages"] == [[1], [2], [3], *HI["messages"]]


def test_turns_without_messages_leave_no_gap() -> None:
    path = [turn(n, user("a")) for n in range(3)]
    assert body(*path, input=[user("hi")], history=[b"", b"[1]", b""])["messages"] == [[1], *HI["messages"]]


SEAMS: list[tuple[list[Turn], list[Message], list[Any]]] = [
    # a client that runs its tools itself: the result is the next turn's input
    (
        [turn(1, user("a"), assistant(CALL))],
        [tool_result("toolu_1", "r")],
        [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}],
    ),
    # ... says something with it
    (
        [turn(1, user("a"), assistant(CALL))],
        [tool_result("toolu_1", "r"), user("b")],
        [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}, {"type": "text", "text": "b"}],
    ),
    # ... says something in its place
    (
        [turn(1, user("a"), assistant(CALL))],
        [user("b")],
        [NONE, {"type": "text", "text": "b"}],
    ),
    # ... answers one call of two
    (
        [turn(1, user("a"), assistant(CALL, ToolCall("toolu_2", "f", "{}")))],
        [tool_result("toolu_2", "r")],
        [NONE, {"type": "tool_result", "tool_use_id": "toolu_2", "content": "r"}],
    ),
    # ... answers when it is too late
    (
        [turn(1, user("a"), assistant(CALL)), turn(2, user("b"), assistant("c"))],
        [tool_result("toolu_1", "r")],
        [NONE, {"type": "text", "text": "b"}, {"type": "text", "text": "c"}, *LATE],
    ),
    # ... or says nothing more, so that the model is asked with open calls
    ([turn(1, user("a"), assistant(CALL))], [], [NONE]),
]


@pytest.mark.parametrize(("turns", "input", "expected"), SEAMS)
def test_calls_that_one_turn_leaves_to_the_next(turns: list[Turn], input: list[Message], expected: list[Any]) -> None:
    found = body(*turns, input=input)
    after = found["messages"].index(next(each for each in found["messages"] if each["role"] == "assistant")) + 1
    blocks: list[Any] = []
    for message in found["messages"][after:]:
        content = message["content"]
        blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
    assert blocks == expected
    assert problem_of(found) is None


def test_what_stands_between_turns_stays_the_same_when_the_history_grows() -> None:
    left = [turn(1, user("a"), assistant(CALL)), turn(2, user("b"), assistant("c"))]
    shorter = body(left[0], input=[user("b")])["messages"]
    longer = body(*left, input=[user("d")])["messages"]
    assert longer[: len(shorter)] == shorter


def test_what_is_made_of_a_turn_is_made_once() -> None:
    """Also where there is more to it than its bytes: calls left open, and the system's words at the start."""
    path = Path([turn(1, system("s"), user("a"), assistant(CALL))])
    requested(path)
    longer = path.followed_by(turn(2, tool_result("toolu_1", "r"), assistant("b")))
    requested(longer)
    assert path._kept.keys() == longer._kept.keys()
    assert len(path._kept) == 3
    for key, made in path._kept.items():
        assert longer._kept[key][0] is made[0]
        assert len(longer._kept[key]) == 2


def requested(path: Path) -> bytes:
    history = path.encoded(CLAUDE, lambda messages: encode_messages(messages, CLAUDE))
    return encode_request(Request(path=path, input=(user("q"),)), history, model="m", dialect=CLAUDE)


def conversations() -> st.SearchStrategy[list[tuple[Message, ...]]]:
    """Turns of anything at all. Only that every call has an id of its own, as the API insists, and results have ids
    from among them; and opaque parts are none of this provider's, for nobody knows what is in them."""
    return st.lists(any_conversation().map(tuple), max_size=4).map(_with_ids)


def _with_ids(turns: list[tuple[Message, ...]]) -> list[tuple[Message, ...]]:
    calls = 0

    def renamed(part: Part) -> Part:
        nonlocal calls
        match part:
            case ToolCall():
                calls += 1
                return msgspec.structs.replace(part, call_id=f"call_{calls}")
            case ToolResult():
                return msgspec.structs.replace(part, call_id=f"call_{len(part.call_id) % 4}")
            case Opaque():
                return msgspec.structs.replace(part, provider="elsewhere")
        return part

    return [
        tuple(msgspec.structs.replace(message, parts=tuple(map(renamed, message.parts))) for message in messages)
        for messages in turns
    ]


@given(conversations(), st.none() | some_words, st.sampled_from([CLAUDE, WITH_SYSTEM, BUDGET]))
def test_whatever_was_said_the_api_takes_it(
    turns: list[tuple[Message, ...]], instructions: str | None, dialect: Dialect
) -> None:
    *past, input = turns or [()]
    path = [Turn(id=str(n), conversation="c", input=said[:1], output=said[1:]) for n, said in enumerate(past)]
    dialect = msgspec.structs.replace(dialect, switching=Switching(media="describe"))
    try:
        found = body(*path, input=input, instructions=instructions, dialect=dialect)
    except InvalidInput:
        return
    assert problem_of(found) is None


# --- schemas --------------------------------------------------------------------------------------------------------


class Inner(BaseModel):
    name: str = Field(min_length=1, pattern="a+")
    size: int = Field(ge=1, le=10, description="how big")


class Outer(BaseModel):
    """Everything at once."""

    inner: Inner
    others: list[Inner] = Field(default_factory=list, max_length=3)
    maybe: float | None = None
    many: list[str] = Field(min_length=1)
    when: str = Field(json_schema_extra={"format": "date-time"})
    odd: str = Field(json_schema_extra={"format": "odd"})


SCHEMAS: list[dict[str, Any]] = [
    Inner.model_json_schema(),
    Outer.model_json_schema(),
    {"type": "integer", "minimum": 1, "description": "A number"},
    {"oneOf": [{"type": "string"}, {"type": "object", "properties": {}}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}]},
    {"enum": ["a", 1, None]},
    {"const": "a"},
    {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2},
    {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {}, "additionalProperties": False}}},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_becomes_what_the_official_sdk_makes_of_it(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    assert made_strict(schema) == transform_schema(schema)
    assert schema == before


def made_strict(schema: Any) -> Any:
    made = strict_schema(msgspec.Raw(msgspec.json.encode(schema)))
    return None if made is None else msgspec.json.decode(made)


def test_a_type_that_is_one_of_several_keeps_what_belongs_to_each() -> None:
    assert made_strict({"type": ["object", "null"], "properties": {"a": {"type": "string", "minLength": 1}}}) == {
        "type": ["object", "null"],
        "properties": {"a": {"type": "string", "description": "{minLength: 1}"}},
        "additionalProperties": False,
    }


def test_definitions_have_an_older_name() -> None:
    schema = {"definitions": {"A": {"type": "null"}}, "$ref": "#/definitions/A"}
    assert made_strict(schema) == schema


class Node(BaseModel):
    children: list[Node]


class Table(BaseModel):
    cells: dict[str, int]


@pytest.mark.parametrize(
    "schema",
    [
        Node.model_json_schema(),  # recursion
        Table.model_json_schema(),  # free keys
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object"},
        {"type": "array", "items": {}},  # anything
        {"anyOf": [{"type": "string"}, True]},
        {"$ref": "#/$defs/Missing"},
        {"type": "object", "properties": "none"},
        {"anyOf": 7},
        True,
        {},
    ],
)
def test_what_the_api_cannot_say_is_not_said(schema: Any) -> None:
    assert made_strict(schema) is None


def test_what_is_no_json_is_no_schema() -> None:
    assert strict_schema(msgspec.Raw(b"{")) is None
