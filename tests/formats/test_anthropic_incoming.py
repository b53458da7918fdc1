"""Requests of the Messages API as our server reads them, and that nothing is lost between client and server."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic import (
    Dialect,
    ServerRequest,
    decode_count,
    decode_messages,
    decode_request,
    encode_count,
    encode_messages,
    encode_request,
)
from multiturn.messages import (
    Citation,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    assistant,
    system,
    tool_result,
    user,
)
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from strategies import any_conversation, ids, inline, json_objects, maybe, some_words, urls

CLAUDE = Dialect()
ALL = Dialect(system_role=True)
OWN = Origin("anthropic", format="anthropic")
HI: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
CITED = {"type": "page_location", "cited_text": "q", "document_index": 0, "start_page_number": 1, "end_page_number": 2}
FOUND = {
    "type": "search_result",
    "source": "https://e.com",
    "title": "T",
    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def said(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


# --- messages -------------------------------------------------------------------------------------------------------

ITEMS: list[tuple[dict[str, Any], list[Message]]] = [
    # words
    ({"role": "user", "content": "a"}, [user("a")]),
    ({"role": "assistant", "content": "a"}, [assistant("a")]),
    ({"role": "system", "content": "a"}, [system("a")]),
    (said("user", {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}), [user("a")]),
    # nothing
    ({"role": "user", "content": ""}, [Message("user")]),
    (said("assistant", {"type": "text", "text": ""}), [Message("assistant")]),
    # images
    (
        said(
            "user",
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
            {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        [
            user(
                Image(Inline(b"\x89PNG", "image/png")),
                Image(Url("https://e.com/a.png")),
                Image(Uploaded("file_1", "anthropic")),
            )
        ],
    ),
    # documents
    (
        said(
            "user",
            {"type": "document", "source": PDF, "title": "a.pdf", "citations": {"enabled": False}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
            {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
        ),
        [
            user(
                File(Inline(b"%PDF", "application/pdf"), "a.pdf"),
                File(Inline("é".encode(), "text/plain")),
                File(Url("https://e.com/a.pdf")),
            )
        ],
    ),
    # what only Anthropic's models read is kept whole, and says whose it is
    (said("user", FOUND), [Message("user", (Opaque("anthropic", raw(FOUND), "search_result"),), origin=OWN)]),
    (
        said("user", {"type": "container_upload", "file_id": "f"}),
        [
            Message(
                "user",
                (Opaque("anthropic", raw({"type": "container_upload", "file_id": "f"}), "container_upload"),),
                origin=OWN,
            )
        ],
    ),
    # thinking, signed, encrypted and neither; only what is signed or encrypted has an owner
    (
        said(
            "assistant",
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "e"},
            {"type": "text", "text": "a"},
        ),
        [Message("assistant", (Reasoning("hm", signature="s"), Reasoning(encrypted="e"), Text("a")), origin=OWN)],
    ),
    (said("assistant", {"type": "thinking", "thinking": "hm"}), [assistant(Reasoning("hm"))]),
    # a call, one that code has made, and a text that rests on something
    (
        said(
            "assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}, "caller": {"type": "direct"}}
        ),
        [assistant(ToolCall("t", "f", '{"x":1}'))],
    ),
    (
        said("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "c"}}),
        [Message("assistant", (ToolCall("t", "f", "{}", signature='{"caller":{"type":"c"}}'),), origin=OWN)],
    ),
    (
        said("assistant", {"type": "text", "text": "a", "citations": [CITED]}),
        [assistant(Text("a", (Citation(quote="q", start=1, end=2, unit="page", document=0),)))],
    ),
    # results come before what else the user says
    (
        said(
            "user",
            {"type": "tool_result", "tool_use_id": "t", "content": "a"},
            {"type": "text", "text": "b"},
            {"type": "tool_result", "tool_use_id": "u", "is_error": True},
        ),
        [Message("tool", (ToolResult("t", (Text("a"),)), ToolResult("u", is_error=True))), user("b")],
    ),
    # ... and may hold anything that has words or can be shown
    (
        said(
            "user",
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "a"}, {"type": "document", "source": PDF}, FOUND],
            },
        ),
        [
            Message(
                "tool",
                (
                    ToolResult(
                        "t",
                        (Text("a"), File(Inline(b"%PDF", "application/pdf")), Text("[T: https://e.com]\na\nb")),
                    ),
                ),
            )
        ],
    ),
]


@pytest.mark.parametrize(("item", "expected"), ITEMS)
def test_a_client_s_message_as_ours(item: dict[str, Any], expected: list[Message]) -> None:
    before = copy.deepcopy(item)
    assert list(decode_messages([item])) == expected
    assert item == before


FOR_EVERYBODY: list[tuple[dict[str, Any], list[Part]]] = [
    (FOUND, [Text("[T: https://e.com]\na\nb")]),
    (
        {"type": "document", "source": PDF, "title": "a.pdf", "citations": {"enabled": True}, "context": "c"},
        [Text("c"), File(Inline(b"%PDF", "application/pdf"), "a.pdf")],
    ),
    (
        {"type": "document", "source": {"type": "content", "content": "a"}},
        [File(Inline(b"a", "text/plain"))],
    ),
    (
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                    {"type": "text", "text": "b"},
                ],
            },
        },
        [File(Inline(b"a\n\nb", "text/plain")), Image(Url("https://e.com/a.png"))],
    ),
]


@pytest.mark.parametrize(("block", "expected"), FOR_EVERYBODY)
def test_what_only_anthropic_reads_is_made_readable_for_others(block: dict[str, Any], expected: list[Part]) -> None:
    assert decode_messages([said("user", block)], native=False) == (user(*expected),)
    (kept,) = decode_messages([said("user", block)])
    assert kept.parts == (Opaque("anthropic", raw(block), block["type"]),)


def test_messages_may_be_any_mappings_and_the_sdk_s_own_objects() -> None:
    answer = SdkMessage.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "b", "citations": None},
            ],
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )
    items: list[Any] = [
        MappingProxyType({"role": "user", "content": "a"}),
        {"role": "assistant", "content": answer.content},
        answer.to_param(),
    ]
    first, *others = decode_messages(items)
    assert first == user("a")
    assert others == [Message("assistant", (Reasoning("hm", signature="s"), Text("b")), origin=OWN)] * 2


WRONG: list[tuple[Sequence[Mapping[str, Any]], str]] = [
    # no role, an unknown one, one of another API
    ([{"content": "a"}], "messages[0]: object missing required field `role`"),
    ([{"role": "tool", "content": "a"}], "messages[0].role: invalid enum value 'tool'"),
    # content of a wrong type, missing, unknown
    ([{"role": "user", "content": 1}], "messages[0].content: expected `str | array`, got `int`"),
    ([{"role": "user"}], "messages[0]: object missing required field `content`"),
    ([said("user", "a")], "messages[0].content[0]: expected `object`, got `str`"),
    ([said("user", {"text": "a"})], "messages[0].content[0]: object missing required field `type`"),
    ([said("user", {"type": "text"})], "messages[0].content[0]: object missing required field `text`"),
    (
        [said("user", {"type": "text", "text": "a"}, {"type": "image", "source": {"type": "smell"}})],
        "messages[0].content[1].source.type: invalid value 'smell'",
    ),
    (
        [said("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}})],
        "messages[0].content[0].source.data: invalid base64",
    ),
    # tools
    (
        [said("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": "x"})],
        "messages[0].content[0].input: expected `object`",
    ),
    ([said("user", {"type": "tool_result"})], "messages[0].content[0]: object missing required field `tool_use_id`"),
    (
        [said("user", {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "smell"}]})],
        "messages[0].content[0].content: a tool's result holds text, images",
    ),
    (
        [said("user", {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": 1}]})],
        "messages[0].content[0].content[0].text: expected `str`",
    ),
    # not JSON at all
    ([{"role": "user", "content": object()}], "messages: object is not JSON"),
]


@pytest.mark.parametrize(("items", "problem"), WRONG)
def test_a_wrong_message_is_refused_by_its_place(items: Sequence[Mapping[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_messages(items)
    assert str(caught.value).startswith(problem)


# --- requests -------------------------------------------------------------------------------------------------------


def asked(**fields: Any) -> ServerRequest:
    return decode_request(json.dumps({**HI, **fields}).encode())


def test_a_request_as_our_values() -> None:
    found = asked(
        system="be brief",
        tools=[
            {"name": "f", "description": "d", "input_schema": {"a": 1}, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "g", "input_schema": {"a": 2}, "strict": True},
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"b": 2}}},
        thinking={"type": "adaptive", "display": "summarized"},
        stop_sequences=["x"],
        temperature=1,
        top_p=0.5,
        stream=True,
        metadata={"user_id": "ann"},
        cache_control={"type": "ephemeral"},
        top_k=4,
        service_tier=None,
    )
    assert found == ServerRequest(
        messages=(user("hi"),),
        instructions="be brief",
        model="m",
        tools=(ToolSpec("f", "d", msgspec.Raw(b'{"a": 1}')), ToolSpec("g", "", msgspec.Raw(b'{"a": 2}'), True)),
        settings=Settings(
            temperature=1.0,
            top_p=0.5,
            max_output_tokens=9,
            stop=("x",),
            reasoning_effort="low",
            tool_choice=NamedTool("f"),
            parallel_tool_calls=False,
            output=OutputSchema(msgspec.Raw(b'{"b": 2}')),
        ),
        native={"top_k": 4},
        stream=True,
        user="ann",
    )


def test_a_small_request() -> None:
    assert asked() == ServerRequest(messages=(user("hi"),), model="m", settings=Settings(max_output_tokens=9))


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {}}], "a\n\nb"),
        ([], None),
        ("", None),
        (None, None),
    ],
)
def test_the_system_is_the_instructions(system: Any, expected: str | None) -> None:
    assert asked(system=system).instructions == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "high"),
        ({"output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 10_000}, "minimal"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 10_000}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9900}, "max_tokens": 10_000}, "xhigh"),
    ],
)
def test_how_much_a_client_wants_thought_in_one_word(fields: dict[str, Any], expected: str | None) -> None:
    assert asked(**fields).settings.reasoning_effort == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ("auto", None)),
        ({"type": "any", "disable_parallel_tool_use": False}, ("required", None)),
        ({"type": "none"}, ("none", None)),
    ],
)
def test_what_a_client_wants_of_the_tools(choice: dict[str, Any], expected: Any) -> None:
    settings = asked(tool_choice=choice).settings
    assert (settings.tool_choice, settings.parallel_tool_calls) == expected


def test_tools_of_anthropic_s_own_are_kept_with_all_the_others() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    plain = {"name": "f", "input_schema": {}}
    later = {"name": "g", "input_schema": {}, "defer_loading": True}
    for tools, names in (([search, plain], ["f"]), ([plain, later], ["f", "g"])):
        found = asked(tools=tools)
        assert [tool.name for tool in found.tools] == names
        assert found.native == {"tools": tools}
    assert asked(tools=[plain]).native == {}


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff", "the body is not valid JSON"),
        (b'{"x":' + b"[" * 100_000, "the body is not valid JSON"),
        (b"[]", "the body is not a request: expected `object`"),
        (b'{"max_tokens":1}', "the body is not a request: object missing required field `messages`"),
        (b'{"max_tokens":1,"messages":[]}', "messages: there must be at least one"),
        (b'{"messages":[{"role":"user","content":"a"}]}', "max_tokens: this field is required"),
        (json.dumps(HI | {"max_tokens": "many"}).encode(), "max_tokens: expected"),
        (json.dumps(HI | {"temperature": "hot"}).encode(), "temperature: expected"),
        (json.dumps(HI | {"tools": [{"name": "f"}]}).encode(), "tools[0].input_schema: "),
        (json.dumps(HI | {"tools": [{"input_schema": {}}]}).encode(), "tools[0]: object missing required field `name`"),
        (json.dumps(HI | {"tool_choice": {"type": "tool"}}).encode(), "tool_choice.name: "),
        (json.dumps(HI | {"output_config": {"format": {"type": "xml"}}}).encode(), "output_config.format"),
        (json.dumps(HI | {"system": [{"type": "image"}]}).encode(), "system[0].type: "),
    ],
)
def test_a_wrong_request_is_refused_by_its_place(wanted: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(wanted)
    assert str(caught.value).startswith(problem)


def test_half_an_emoji_does_not_cost_a_request() -> None:
    (message,) = decode_request(
        b'{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"so \\ud83d"}]}]}'
    ).messages
    assert message.text == "so ?"


def test_tokens_are_counted_of_a_request_without_max_tokens() -> None:
    found = decode_count(b'{"model":"m","messages":[{"role":"user","content":"hi"}],"system":"s"}')
    assert (found.messages, found.instructions) == ((user("hi"),), "s")
    assert encode_count(7) == b'{"input_tokens":7}'


# --- there and back -------------------------------------------------------------------------------------------------

words = some_words.map(lambda text: f"{text}.")  # white space alone is not sent
locations = st.one_of(
    st.builds(
        lambda unit, title, quote, document, start, end: Citation(
            title=title, quote=quote, unit=unit, document=document, start=start, end=end
        ),
        st.sampled_from(["source_character", "page", "block"]),
        maybe(some_words),
        some_words,
        *[st.integers(0, 9)] * 3,
    ),
    st.builds(Citation, url=urls().map(lambda url: url.url), title=maybe(some_words), quote=some_words, id=ids),
    st.builds(
        lambda url, index: Citation(url=url, quote="q", unit="block", document=index, start=0, end=1),
        ids,
        st.integers(0, 9),
    ),
)
images = st.builds(
    Image,
    st.builds(Url, urls().map(lambda url: url.url))
    | inline("image/png", "image/gif").filter(lambda source: bool(source.data))
    | st.builds(Uploaded, ids, st.just("anthropic")),
)
files = st.builds(
    File,
    inline("application/pdf").filter(lambda source: bool(source.data))
    | st.builds(Inline, words.map(str.encode), st.just("text/plain"))
    | st.builds(Url, urls().map(lambda url: url.url))
    | st.builds(Uploaded, ids, st.just("anthropic")),
    maybe(some_words),
)
texts = words.map(Text)
shown = st.lists(texts | images | files, min_size=1, max_size=3).map(tuple)


def answers() -> st.SearchStrategy[tuple[Part, ...]]:
    """Parts of an answer, in any order, the last of them no thinking."""
    opaque = st.builds(
        lambda data: Opaque("anthropic", raw({"type": "server_tool_use", "input": data}), "server_tool_use"),
        json_objects(),
    )
    cited = st.builds(Text, words, st.lists(locations, min_size=1, max_size=2).map(tuple))
    thought = st.builds(Reasoning, st.text(max_size=9), signature=ids) | st.builds(Reasoning, encrypted=ids)
    return st.tuples(st.lists(texts | cited | thought | opaque, max_size=4), texts | cited).map(
        lambda made: (*made[0], made[1])
    )


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A user's words, an answer, perhaps some calls with their results: all of which the format keeps."""
    said = [Message("user", draw(shown))]
    if draw(st.booleans()):
        said.append(system(draw(words)))
    answer = draw(answers())
    scoped = any(
        isinstance(part, Opaque | Reasoning) or (isinstance(part, Text) and any(cited.id for cited in part.citations))
        for part in answer
    )
    calls = [
        ToolCall(f"toolu_{draw(ids)}_{n}", draw(ids), draw(json_objects())) for n in range(draw(st.integers(0, 2)))
    ]
    said.append(Message("assistant", (*answer, *calls), origin=OWN if scoped else None))
    if calls:
        parts = st.just(()) | shown
        results = tuple(ToolResult(call.call_id, draw(parts), is_error=draw(st.booleans())) for call in calls)
        said += [Message("tool", results), Message("assistant", draw(texts.map(lambda part: (part,))))]
    return said


@given(exchanges(), maybe(words))
def test_what_a_client_encodes_a_server_decodes(messages: list[Message], instructions: str | None) -> None:
    request = Request(path=Path(), input=tuple(messages), instructions=instructions)
    encoded = encode_request(request, [], model="m", dialect=ALL)
    found = decode_request(encoded)
    assert found.messages == tuple(messages)
    assert found.instructions == instructions
    assert decode_messages(json.loads(encoded)["messages"]) == tuple(messages)


@given(any_conversation(), st.sampled_from([CLAUDE, ALL]))
def test_what_has_gone_over_the_wire_once_goes_unchanged(messages: list[Message], dialect: Dialect) -> None:
    """Whatever was lost is lost at the first crossing, so a proxy changes nothing."""
    try:
        once = encode_messages([_without_opaque(message) for message in messages], dialect)
    except InvalidInput:
        return
    items = json.loads(b"[%s]" % once)
    assert json.loads(b"[%s]" % encode_messages(decode_messages(items), dialect)) == items


def _without_opaque(message: Message) -> Message:
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    return msgspec.structs.replace(message, parts=parts)


settings = st.builds(
    Settings,
    temperature=maybe(st.floats(0, 1)),
    top_p=maybe(st.floats(0, 1)),
    max_output_tokens=st.integers(6000, 9999),
    stop=st.lists(some_words, max_size=2).map(tuple),
    reasoning_effort=st.sampled_from([None, "none", "low", "medium", "high", "max"]),
    tool_choice=st.sampled_from([None, "auto", "required", NamedTool("f")]),
    output=st.none() | st.just(OutputSchema(msgspec.Raw(b'{"type":"string"}'))),
)


@given(settings, st.booleans(), st.sampled_from([CLAUDE, Dialect(thinking="budget")]))
def test_settings_there_and_back(wanted: Settings, stream: bool, dialect: Dialect) -> None:
    tool = ToolSpec("f", "d")
    request = Request(path=Path(), input=(user("a"),), tools=(tool,), settings=wanted, stream=stream)
    found = decode_request(encode_request(request, [], model="m", dialect=dialect))
    if dialect.thinking == "budget" and wanted.reasoning_effort == "max":
        wanted = msgspec.structs.replace(wanted, reasoning_effort="xhigh")
    assert (found.settings, found.tools, found.stream) == (wanted, (tool,), stream)


def test_results_of_several_messages_come_back_as_one() -> None:
    said = [user("a"), assistant(ToolCall("t", "f", "{}"), ToolCall("u", "f", "{}"))]
    answered = [tool_result("t", "1"), tool_result("u", "2")]
    items = json.loads(b"[%s]" % encode_messages([*said, *answered], CLAUDE))
    assert decode_messages(items) == (
        *said,
        Message("tool", (ToolResult("t", (Text("1"),)), ToolResult("u", (Text("2"),)))),
    )
