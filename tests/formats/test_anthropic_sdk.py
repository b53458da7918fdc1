"""The Messages API over real sockets: the official SDK reads what our server's side writes, and our models ask an
upstream that takes what the real API takes and refuses the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import anthropic as sdk
import msgspec
import pytest
from pydantic import BaseModel

from multiturn.deltas import (
    Answer,
    Delta,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    each,
    fold,
)
from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidInput,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    StreamCut,
)
from multiturn.formats import anthropic
from multiturn.formats.anthropic import (
    HEADERS,
    KEY_HEADER,
    PING,
    Dialect,
    StreamEncoder,
    decode_count,
    decode_request,
    encode_count,
    encode_error,
    encode_reply,
)
from multiturn.messages import (
    Citation,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    system,
    tool_result,
    user,
)
from multiturn.models.limits import Retries
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import NamedTool, OutputSchema, Request, Settings, ToolSpec
from multiturn.turns import Turn, TurnStatus
from upstream import Behaviour, Exchange, Upstream
from upstream_anthropic import (
    base_url,
    events_of,
    failing_stream,
    failure,
    judged,
    message_of,
    redacted,
    reply,
    text,
    thinking,
    tool_use,
    web_search,
)

CLAUDE = Dialect()
KEY = "sk-ant-secret-secret"
CITATION = Citation(url="https://e.com", title="T", quote="so it says", id="aQ==")
PARTS = (
    Reasoning("Let me see.", signature="s1"),
    Reasoning(encrypted="e"),
    Text("It is so.", (CITATION,)),
    Reasoning(signature="s2"),
    ToolCall("toolu_1", "weather", '{"city":"Rome"}'),
)
USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=1)
ANSWER = Answer(Message("assistant", PARTS, usage=USAGE, finish_reason="tool_calls"))
DELTAS: list[Delta] = [
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    PartDelta(PARTS[1]),
    TextDelta("It is"),
    TextDelta(" so."),
    PartDelta(PARTS[3]),
    ToolCallDelta(0, "toolu_1", "weather", '{"city"'),
    ToolCallDelta(0, arguments=':"Rome"}'),
]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


# --- our server's side, read by the official SDK --------------------------------------------------------------------


def serving(answer: Answer = ANSWER, deltas: list[Delta] = DELTAS) -> Behaviour:
    """What a server does that is made of our functions: it reads the request, and writes the answer or the error."""

    async def run(exchange: Exchange) -> None:
        try:
            asked = decode_request(exchange.request.body)
        except InvalidInput as error:
            exchange.whole(*encode_error(error))
            return
        if asked.stream:
            encoder = StreamEncoder(id="msg_1", model=asked.model or "")
            exchange.begin_stream()
            pieces = [PING, *map(encoder.encode, deltas), encoder.finish(answer)]
            await exchange.events([piece for piece in pieces if piece])  # an empty chunk would end the body
            exchange.chunk(b"")
        else:
            exchange.whole(200, encode_reply(answer, id="msg_1", model=asked.model or ""))

    return run


def client(upstream: Upstream) -> sdk.Anthropic:
    return sdk.Anthropic(base_url=base_url(upstream), api_key=KEY, max_retries=0)


@pytest.fixture
async def async_client(upstream: Upstream) -> AsyncIterator[sdk.AsyncAnthropic]:
    async with sdk.AsyncAnthropic(base_url=base_url(upstream), api_key=KEY, max_retries=0) as made:
        yield made


ASKED: dict[str, Any] = {"model": "tiny", "max_tokens": 100, "messages": [{"role": "user", "content": "Weather?"}]}


def check(found: sdk.types.Message) -> None:
    """That the SDK has the whole of `ANSWER`."""
    assert (found.id, found.model, found.role, found.stop_reason) == ("msg_1", "tiny", "assistant", "tool_use")
    thought, hidden, said, unseen, call = found.content
    assert isinstance(thought, sdk.types.ThinkingBlock)
    assert (thought.thinking, thought.signature) == ("Let me see.", "s1")
    assert isinstance(hidden, sdk.types.RedactedThinkingBlock)
    assert hidden.data == "e"
    assert isinstance(said, sdk.types.TextBlock)
    assert said.text == "It is so."
    (cited,) = said.citations or []
    assert isinstance(cited, sdk.types.CitationsWebSearchResultLocation)
    assert (cited.url, cited.encrypted_index, cited.cited_text) == ("https://e.com", "aQ==", "so it says")
    assert isinstance(unseen, sdk.types.ThinkingBlock)
    assert (unseen.thinking, unseen.signature) == ("", "s2")
    assert isinstance(call, sdk.types.ToolUseBlock)
    assert (call.id, call.name, call.input) == ("toolu_1", "weather", {"city": "Rome"})
    usage = found.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 4, 2)
    assert usage.output_tokens == 5
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 1


def test_the_sdk_reads_our_reply(upstream: Upstream) -> None:
    upstream.script(serving())
    with client(upstream) as made:
        check(made.messages.create(**ASKED))


async def test_the_async_sdk_reads_our_reply(upstream: Upstream, async_client: sdk.AsyncAnthropic) -> None:
    upstream.script(serving())
    check(await async_client.messages.create(**ASKED))


def test_the_sdk_reads_our_stream(upstream: Upstream) -> None:
    upstream.script(serving())
    with client(upstream) as made, made.messages.stream(**ASKED) as stream:
        events = list(stream)
        found = stream.get_final_message()
    check(found)
    assert [each.text for each in events if each.type == "text"] == ["It is", " so."]
    assert [each.thinking for each in events if each.type == "thinking"] == ["Let me ", "see."]
    assert [each.partial_json for each in events if each.type == "input_json"] == ['{"city"', ':"Rome"}']
    starts = [each.index for each in events if each.type == "content_block_start"]
    stops = [each.index for each in events if each.type == "content_block_stop"]
    assert (starts, sorted(stops)) == ([0, 1, 2, 3, 4], starts)


async def test_the_async_sdk_reads_our_stream(upstream: Upstream, async_client: sdk.AsyncAnthropic) -> None:
    upstream.script(serving())
    async with async_client.messages.stream(**ASKED) as stream:
        words = [piece async for piece in stream.text_stream]
        check(await stream.get_final_message())
    assert words == ["It is", " so."]


async def test_the_async_sdk_reads_our_events_one_by_one(upstream: Upstream, async_client: sdk.AsyncAnthropic) -> None:
    upstream.script(serving())
    stream = await async_client.messages.create(**ASKED, stream=True)
    kinds = [each.type async for each in stream]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])


def test_the_sdk_sends_our_reply_back_and_our_server_reads_it_as_it_was(upstream: Upstream) -> None:
    upstream.script(serving(), serving())
    with client(upstream) as made:
        first = made.messages.create(**ASKED)
        results = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Sunny."}]
        said = [*ASKED["messages"], first.to_param(), {"role": "user", "content": results}]
        made.messages.create(**{**ASKED, "messages": said})
    asked, answered, result = decode_request(upstream.requests[1].body).messages
    assert asked == user("Weather?")
    assert answered.parts == PARTS
    assert answered.origin == Origin("anthropic", format="anthropic")
    assert result == tool_result("toolu_1", "Sunny.")


class Point(BaseModel):
    x: int
    y: int


def test_what_the_sdk_asks_is_what_our_server_hears(upstream: Upstream) -> None:
    upstream.script(serving(Answer(assistant('{"x":1,"y":2}')), []))
    tool: Any = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    with client(upstream) as made:
        found = made.messages.parse(
            model="tiny",
            max_tokens=100,
            system="Be brief.",
            messages=[{"role": "user", "content": "Where?"}],
            tools=[tool],
            tool_choice={"type": "tool", "name": "f"},
            thinking={"type": "adaptive"},
            output_format=Point,
            metadata={"user_id": "ann"},
            extra_body={"temperature": 0.5},
        )
    assert found.parsed_output == Point(x=1, y=2)
    asked = decode_request(upstream.requests[0].body)
    assert (asked.instructions, asked.user, asked.settings.temperature) == ("Be brief.", "ann", 0.5)
    assert asked.settings.tool_choice == NamedTool("f")
    assert asked.settings.reasoning_effort == "high"
    assert [tool.name for tool in asked.tools] == ["f"]
    assert asked.settings.output is not None
    assert asked.settings.output.schema is not None
    assert msgspec.json.decode(asked.settings.output.schema)["required"] == ["x", "y"]


def test_the_sdk_counts_tokens_with_us(upstream: Upstream) -> None:
    async def count(exchange: Exchange) -> None:
        asked = decode_count(exchange.request.body)
        exchange.whole(200, encode_count(len(asked.messages)))

    upstream.script(count)
    with client(upstream) as made:
        counted = made.messages.count_tokens(model="tiny", messages=ASKED["messages"])
    assert counted.input_tokens == 1
    assert upstream.requests[0].path == "/v1/messages/count_tokens"


REFUSED = Answer(Message("assistant", (Text("I"), Refusal("No."))))


@pytest.mark.parametrize("streams", [False, True])
def test_the_sdk_learns_of_a_refusal(upstream: Upstream, streams: bool) -> None:
    upstream.script(serving(REFUSED, [TextDelta("I"), RefusalDelta("No.")]))
    with client(upstream) as made:
        if streams:
            with made.messages.stream(**ASKED) as stream:
                found: sdk.types.Message = stream.get_final_message()
        else:
            found = made.messages.create(**ASKED)
    assert found.stop_reason == "refusal"
    assert found.stop_details is not None
    assert found.stop_details.explanation == "No."


SDK_ERRORS: list[tuple[Exception, type[sdk.APIStatusError], str]] = [
    (InvalidInput("messages[0]: no"), sdk.BadRequestError, "invalid_request_error"),
    (ContextOverflow("full", status=400), sdk.BadRequestError, "invalid_request_error"),
    (ModelNotFound("no"), sdk.NotFoundError, "not_found_error"),
    (RequestTooLarge("no"), sdk.ContentTooLargeError, "request_too_large"),
    (RateLimited("no"), sdk.RateLimitError, "rate_limit_error"),
    (ProviderFailed("no", status=529), sdk.OverloadedError, "overloaded_error"),
    (ProviderFailed("no"), sdk.InternalServerError, "api_error"),
]


@pytest.mark.parametrize(("error", "kind", "type"), SDK_ERRORS)
def test_the_sdk_raises_what_we_say(
    upstream: Upstream, error: Exception, kind: type[sdk.APIStatusError], type: str
) -> None:
    async def fail(exchange: Exchange) -> None:
        exchange.whole(*encode_error(error))

    upstream.script(fail)
    with client(upstream) as made, pytest.raises(kind) as caught:
        made.messages.create(**ASKED)
    assert caught.value.type == type
    assert str(error) in str(caught.value.api_message)


def test_the_sdk_learns_of_an_error_in_mid_stream(upstream: Upstream) -> None:
    async def fail(exchange: Exchange) -> None:
        encoder = StreamEncoder(id="msg_1", model="tiny")
        exchange.begin_stream()
        await exchange.events([encoder.encode(TextDelta("a")), encoder.fail(ProviderFailed("no", status=529))])
        exchange.chunk(b"")

    upstream.script(fail)
    heard: list[str] = []
    with client(upstream) as made:
        stream = made.messages.create(**ASKED, stream=True)
        with pytest.raises(sdk.APIStatusError, match="no") as caught:
            heard.extend(each.type for each in stream)
    assert heard == ["message_start", "content_block_start", "content_block_delta"]
    assert caught.value.type == "overloaded_error"


def test_a_request_that_is_wrong_is_refused_by_its_place(upstream: Upstream) -> None:
    upstream.script(serving())
    wrong: Any = [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]
    with client(upstream) as made, pytest.raises(sdk.BadRequestError) as caught:
        made.messages.create(model="tiny", max_tokens=1, messages=wrong)
    assert str(caught.value.api_message).startswith("messages[0].content[0].source: ")


# --- our client's side, asking an upstream --------------------------------------------------------------------------


def model_at(upstream: Upstream, dialect: Dialect = CLAUDE, retries: Retries | None = None) -> RemoteModel[Dialect]:
    endpoint = Endpoint(provider="anthropic", base_url=base_url(upstream), key_header=KEY_HEADER, headers=HEADERS)
    return RemoteModel("claude", endpoint, anthropic, dialect, key=KEY, retries=retries or Retries(base_s=0.001))


async def asked(model: RemoteModel[Dialect], request: Request) -> tuple[list[Delta], Message]:
    items = [item async for item in model.answer(request)]
    assert isinstance(items[-1], Answer)
    return [delta for item in items[:-1] if not isinstance(item, Answer | Notice) for delta in each(item)], items[
        -1
    ].message


def asking(*input: Message, path: Path | None = None, streams: bool = False, **fields: Any) -> Request:
    return Request(path=path or Path(), input=input, stream=streams, **fields)


def turn(n: int, *messages: Message) -> Turn:
    said, *output = messages
    return Turn(id=f"turn_{n}", conversation="c", status=TurnStatus.COMPLETED, input=(said,), output=tuple(output))


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer(upstream: Upstream, streams: bool) -> None:
    upstream.script(judged(reply("Hello ", "there.")))
    deltas, message = await asked(model_at(upstream), asking(user("Hi"), instructions="Be kind.", streams=streams))
    assert message.parts == (Text("Hello "), Text("there."))
    assert (message.id, message.finish_reason) == ("msg_1", "stop")
    assert message.origin == Origin("anthropic", "claude", "anthropic")
    assert message.usage == Usage(
        input_tokens=37, output_tokens=3, cached_tokens=20, cache_write_tokens=5, reasoning_tokens=1
    )
    assert deltas == ([TextDelta("Hello "), TextDelta("there.")] if streams else [])
    (request,) = upstream.requests
    assert (request.path, request.headers["x-api-key"]) == ("/v1/messages", KEY)
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in request.headers
    assert "authorization" not in request.headers


@pytest.mark.parametrize("streams", [False, True])
async def test_a_conversation_with_thinking_tools_and_searches_goes_back_as_it_came(
    upstream: Upstream, streams: bool
) -> None:
    """Three turns: one that thinks and calls two tools, which the client runs; one that searches; and a last one. Every
    block that the API made comes back to it in its place, and every request is one that it takes."""
    first = [
        thinking("Two cities."),
        redacted(),
        text("I'll look."),
        tool_use("weather", {"city": "Rome"}),
        tool_use("weather", {"city": "Oslo"}, "toolu_2"),
    ]
    second = [thinking("Warm, cold."), text("Rome is warmer.")]
    third = [thinking("", "aGlkZGVu"), *web_search("Rome", "https://e.com"), text("See there.")]
    upstream.script(*(judged(reply(*blocks)) for blocks in (first, second, third, [text("Bye.")])))
    model, path = model_at(upstream), Path()
    inputs = [
        (user("Rome or Oslo?"),),
        (tool_result("toolu_2", "cold", is_error=True), tool_result("toolu_1", "warm")),
        (user("Is that so?"),),
        (user("Thanks."),),
    ]
    tools = (ToolSpec("weather", "tells the weather"),)
    for n, input in enumerate(inputs):
        request = asking(*input, path=path, tools=tools, settings=Settings(reasoning_effort="high"), streams=streams)
        _, message = await asked(model, request)
        path = path.followed_by(Turn(id=f"turn_{n}", conversation="c", input=input, output=(message,)))
    said = upstream.requests[-1].json["messages"]
    assert [each["role"] for each in said] == ["user", "assistant"] * 3 + ["user"]
    for message, blocks in zip(said[1::2], (first, second, third), strict=True):
        assert message["content"] == [_as_asked(block) for block in blocks]
    assert [block["tool_use_id"] for block in said[2]["content"]] == ["toolu_2", "toolu_1"]
    bodies = [request.json["messages"] for request in upstream.requests]
    for before, after in pairwise(bodies):
        assert after[: len(before)] == before  # so that the cache of prompts is hit


def _as_asked(block: dict[str, Any]) -> dict[str, Any]:
    """A block as it stands in a request: without the fields that are null."""
    return {name: value for name, value in block.items() if value is not None}


async def test_what_another_provider_said_is_shown_without_what_only_that_one_knows(upstream: Upstream) -> None:
    upstream.script(judged(reply("Yes.")))
    other = Origin("openai", "gpt-5", "responses")
    said = Message(
        "assistant",
        (
            Reasoning("hm", id="rs_1", encrypted="SECRET"),
            Opaque("openai", msgspec.Raw(b'{"SECRET":1}')),
            Text("Let me look."),
            ToolCall("call_1", "f", '{"x', id="SECRET"),
        ),
        origin=other,
    )
    path = Path([turn(1, user("Look."), said, tool_result("call_1", "found"), assistant("There."))])
    await asked(model_at(upstream), asking(user("Really?"), path=path))
    assert "SECRET" not in upstream.requests[0].body.decode()
    _, answer, results, *_ = upstream.requests[0].json["messages"]
    assert [block["type"] for block in answer["content"]] == ["text", "tool_use"]
    assert answer["content"][1]["input"] == {"invalid_json": '{"x'}
    assert results["content"][0]["tool_use_id"] == answer["content"][1]["id"]


async def test_a_turn_that_was_interrupted_in_the_middle_of_a_thought_or_a_call_can_be_gone_on_from(
    upstream: Upstream,
) -> None:
    upstream.script(*[judged(reply("Fine."))] * 2)
    home = Origin("anthropic", "claude")  # as a recording has it that was cut
    cut: list[list[Delta]] = [
        [ReasoningDelta("Hm")],
        [ReasoningDelta("Hm"), TextDelta("I "), ToolCallDelta(0, "toolu_1", "f", '{"x')],
    ]
    for deltas in cut:
        path = Path([turn(1, user("Go."), fold(deltas, origin=home))])
        _, message = await asked(model_at(upstream), asking(user("Stop that."), path=path))
        assert message.text == "Fine."
    assert "Hm" not in upstream.requests[-1].body.decode()


async def test_everything_that_can_be_asked_is_taken(upstream: Upstream) -> None:
    upstream.script(judged(reply("Done.")))
    schema = msgspec.Raw(msgspec.json.encode(Point.model_json_schema()))
    request = asking(
        system("Be kind."),
        user(
            "Look.",
            Image(Inline(b"\x89PNG", "image/png")),
            File(Inline(b"%PDF", "application/pdf"), "a.pdf"),
            File(Inline(b"a,b", "text/csv"), "a.csv"),
        ),
        instructions="Be brief.",
        tools=(ToolSpec("f", "does f", schema, strict=True), ToolSpec("g")),
        settings=Settings(
            stop=("END",),
            reasoning_effort="low",
            tool_choice="auto",
            parallel_tool_calls=False,
            output=OutputSchema(schema),
            extra={"metadata": {"user_id": "ann"}, "service_tier": "auto"},
        ),
    )
    _, message = await asked(model_at(upstream), request)
    assert message.text == "Done."


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        (failure(401, "authentication_error", f"invalid x-api-key {KEY}"), AuthenticationFailed, "x-api-key [key]"),
        (failure(404, "not_found_error", "model: claude-x"), ModelNotFound, "model: claude-x"),
        (failure(400, "invalid_request_error", "prompt is too long: 9 > 5"), ContextOverflow, "9 > 5"),
        (failure(400, "invalid_request_error", "top_k: no"), RequestRejected, "top_k: no"),
        (failure(413, "request_too_large", "too big"), RequestTooLarge, "too big"),
        (failure(429, "rate_limit_error", "slow", {"retry-after": "90"}), RateLimited, "Try again in 90 s."),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_an_error(
    upstream: Upstream, behaviour: Behaviour, kind: type[ModelError], said: str, streams: bool
) -> None:
    upstream.script(behaviour)
    with pytest.raises(kind) as caught:
        await asked(model_at(upstream), asking(user("Hi"), streams=streams))
    assert said in str(caught.value)
    assert (caught.value.model, caught.value.request_id) == ("claude", "req_1")
    assert KEY not in f"{caught.value} {vars(caught.value)}"


async def test_an_overloaded_server_is_asked_again(upstream: Upstream) -> None:
    upstream.script(failure(529, "overloaded_error", "Overloaded"), failure(500, "api_error", "Oops"), reply("Hello."))
    _, message = await asked(model_at(upstream), asking(user("Hi")))
    assert (message.text, len(upstream.requests)) == ("Hello.", 3)


@pytest.mark.parametrize(
    ("type", "kind"),
    [("overloaded_error", ProviderFailed), ("rate_limit_error", RateLimited), ("api_error", ProviderFailed)],
)
async def test_an_error_in_mid_stream(upstream: Upstream, type: str, kind: type[ModelError]) -> None:
    upstream.script(failing_stream(type, "Overloaded", after=5))
    heard: list[object] = []

    async def listening() -> None:
        async for item in model_at(upstream).answer(asking(user("Hi"), streams=True)):
            heard.extend(each(item) if not isinstance(item, Answer | Notice) else [item])

    with pytest.raises(kind, match="Overloaded"):
        await listening()
    assert heard == [TextDelta("one "), TextDelta("two ")]


async def test_a_stream_that_is_cut(upstream: Upstream) -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.begin_stream()
        await exchange.events(events_of(message_of(exchange.request, [text("one two")], {}))[:-2])
        await asyncio.sleep(0.02)
        exchange.transport.close()

    upstream.script(cut)
    with pytest.raises(StreamCut):
        await asked(model_at(upstream), asking(user("Hi"), streams=True))


async def test_a_server_that_ignores_stream_and_one_that_always_streams(upstream: Upstream) -> None:
    upstream.script(reply(thinking("Hm."), "Hello.", streams=False), reply("Hello.", streams=True))
    deltas, message = await asked(model_at(upstream), asking(user("Hi"), streams=True))
    assert (deltas, message.text) == ([ReasoningDelta("Hm."), TextDelta("Hello.")], "Hello.")
    deltas, message = await asked(model_at(upstream), asking(user("Hi")))
    assert (deltas, message.text) == ([], "Hello.")


# --- the judge ------------------------------------------------------------------------------------------------------


def wrong(**fields: Any) -> dict[str, Any]:
    return {**ASKED, **fields}


def said(*messages: tuple[str, Any]) -> dict[str, Any]:
    return wrong(messages=[{"role": role, "content": content} for role, content in messages])


HI = ("user", "hi")
USED = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
RESULT = {"type": "tool_result", "tool_use_id": "t"}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"model": "m", "messages": ASKED["messages"]}, "max_tokens: Field required"),
    (wrong(seed=1), "seed: Extra inputs are not permitted"),
    (wrong(messages=[]), "at least one message"),
    (wrong(tool_choice={"type": "any"}), "tool_choice: may only"),
    (wrong(thinking={"type": "enabled", "budget_tokens": 1024}), "thinking.budget_tokens"),
    (wrong(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}), "additionalProperties"),
    (wrong(system=" "), "system: text content blocks must contain non-whitespace text"),
    (said(("assistant", "a")), 'first message must use the "user" role'),
    (said(("robot", "a")), "validation error"),
    (said(("user", [{"type": "image"}])), "validation error"),
    (said(("user", "")), "must be non-empty"),
    (said(HI, ("assistant", " ")), "non-whitespace"),
    (said(("user", [])), "non-empty content"),
    (said(HI, ("assistant", "a ")), "trailing whitespace"),
    (said(HI, ("system", "s"), HI), "role 'system' must follow"),
    (said(HI, ("assistant", [{"type": "thinking", "thinking": "a", "signature": ""}, text("b")])), "`signature`"),
    (said(HI, ("assistant", [thinking("a")])), "final block"),
    (said(HI, ("assistant", USED), HI), "without `tool_result` blocks immediately after"),
    (said(HI, ("assistant", USED)), "without `tool_result` blocks immediately after"),
    (said(("user", [RESULT])), "unexpected `tool_use_id`"),
    (said(HI, ("assistant", USED), ("user", [text("a"), RESULT])), "must come first"),
    (said(HI, ("assistant", USED), ("user", [RESULT, RESULT])), "single result"),
    (said(HI, ("assistant", USED * 2), ("user", [RESULT])), "ids must be unique"),
    (said(HI, ("user", USED)), "not permitted in user messages"),
]


@pytest.mark.parametrize(("body", "problem"), REFUSALS)
def test_the_upstream_refuses_what_the_api_refuses(upstream: Upstream, body: dict[str, Any], problem: str) -> None:
    upstream.script(judged(reply("Hello.")))
    with client(upstream) as made, pytest.raises(sdk.BadRequestError) as caught:
        made.post("/v1/messages", body=body, cast_to=sdk.types.Message)
    assert problem in str(caught.value.api_message)


def test_and_takes_what_the_api_takes(upstream: Upstream) -> None:
    upstream.script(judged(reply("Hello.")))
    body = said(
        HI,
        ("assistant", [thinking("a"), *USED]),
        ("user", [RESULT, text("b")]),
        ("system", "s"),
        ("assistant", "c"),
        HI,
    )
    with client(upstream) as made:
        found = made.messages.create(**json.loads(json.dumps(body)))
    assert found.content[0].type == "text"


def test_a_result_may_hold_what_is_not_text(upstream: Upstream) -> None:
    shot = Message("tool", (ToolResult("toolu_1", (Text("done"), Image(Inline(b"\x89PNG", "image/png")))),))
    body = anthropic.encode_messages([user("a"), assistant(ToolCall("toolu_1", "f")), shot], CLAUDE)
    upstream.script(judged(reply("Hello.")))
    with client(upstream) as made:
        made.messages.create(model="tiny", max_tokens=1, messages=json.loads(b"[%s]" % body))
