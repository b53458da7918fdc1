"""Google's own SDK against our server side, over real sockets: replies, streams, chats, tools and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from google import genai
from google.genai import errors, types

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta
from multiturn.errors import ContextOverflow, InvalidInput, ProviderFailed, RateLimited
from multiturn.formats.gemini import ServerRequest, decode_request
from multiturn.messages import (
    Citation,
    Image,
    Inline,
    Message,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    user,
)
from upstream import Upstream
from upstream_gemini import VERSION, checked, complaints, failing, served

# the SDK's own way with aiohttp, which warns of it
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

MODEL = "gemini-3-flash-preview"
CODE = msgspec.Raw(b'{"executableCode":{"code":"print(1)","language":"PYTHON"}}')
EVERYTHING = Message(
    "assistant",
    (
        Reasoning("hm", signature="c2ln"),
        Text("Hello there.", (Citation("https://e.com", "E", start=0, end=5),)),
        Image(Inline(b"\x89PNG", "image/png")),
        Opaque("gemini", CODE, "executableCode"),
        ToolCall("abc1", "get_weather", '{"city":"Rome","days":2}', signature="YWJj"),
        ToolCall("abc2", "get_time", "{}"),
    ),
    usage=Usage(input_tokens=12, output_tokens=9, cached_tokens=3, reasoning_tokens=4),
    finish_reason="tool_calls",
)
DELTAS: list[Delta] = [
    ReasoningDelta("hm"),
    TextDelta("Hello "),
    TextDelta("there."),
    PartDelta(EVERYTHING.parts[2]),
    PartDelta(EVERYTHING.parts[3]),
    ToolCallDelta(0, "abc1", "get_weather", '{"city":"Rome","days":2}'),
    ToolCallDelta(1, "abc2", "get_time", "{}"),
]


def answer(*parts: Any, finish_reason: str = "stop") -> Answer:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Answer(Message("assistant", made, usage=Usage(input_tokens=1), finish_reason=finish_reason))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@pytest.fixture
def client(upstream: Upstream) -> Iterator[genai.Client]:
    with genai.Client(api_key="x", http_options=_options(upstream)) as made:
        yield made


@pytest.fixture
async def aclient(upstream: Upstream) -> AsyncIterator[genai.client.AsyncClient]:
    async with genai.Client(api_key="x", http_options=_options(upstream)).aio as made:
        yield made


def _options(upstream: Upstream) -> types.HttpOptions:
    return types.HttpOptions(base_url=f"http://127.0.0.1:{upstream.port}")


def asked(upstream: Upstream, n: int = -1) -> ServerRequest:
    """What the SDK sent, as our server reads it."""
    return decode_request(upstream.requests[n].body)


# --- what the SDK reads ---------------------------------------------------------------------------------------------


def _check(parts: list[types.Part]) -> None:
    """The parts of `EVERYTHING`, but for its thought and its words."""
    image, code, weather, time = parts
    assert image.inline_data == types.Blob(data=b"\x89PNG", mime_type="image/png")
    assert code.executable_code == types.ExecutableCode(code="print(1)", language=types.Language.PYTHON)
    assert weather.function_call == types.FunctionCall(id="abc1", name="get_weather", args={"city": "Rome", "days": 2})
    assert weather.thought_signature == b"abc"
    assert time.function_call == types.FunctionCall(id="abc2", name="get_time", args={})


def _check_end(response: types.GenerateContentResponse) -> None:
    assert response.candidates
    candidate = response.candidates[0]
    assert candidate.finish_reason is types.FinishReason.STOP
    assert candidate.grounding_metadata
    assert candidate.grounding_metadata.grounding_chunks == [
        types.GroundingChunk(web=types.GroundingChunkWeb(uri="https://e.com", title="E"))
    ]
    assert candidate.grounding_metadata.grounding_supports == [
        types.GroundingSupport(
            segment=types.Segment(start_index=0, end_index=5, text="Hello"), grounding_chunk_indices=[0]
        )
    ]
    usage = response.usage_metadata
    assert usage
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count) == (12, 5, 4)
    assert (usage.cached_content_token_count, usage.total_token_count) == (3, 21)
    assert (response.response_id, response.model_version) == ("resp-1", VERSION)


async def test_a_reply(upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient) -> None:
    upstream.script(*[checked(served(Answer(EVERYTHING)))] * 2)
    for response in (
        client.models.generate_content(model=MODEL, contents="Hi"),
        await aclient.models.generate_content(model=MODEL, contents="Hi"),
    ):
        assert response.parts
        thought, words, *others = response.parts
        assert (thought.text, thought.thought, thought.thought_signature) == ("hm", True, b"sig")
        assert (words.text, words.thought) == ("Hello there.", None)
        _check(others)
        _check_end(response)
    request = upstream.requests[0]
    assert request.path == f"/v1/models/{MODEL}:generateContent"
    assert request.headers["x-goog-api-key"] == "x"
    assert asked(upstream).messages == (user("Hi"),)


async def test_a_stream(upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient) -> None:
    upstream.script(*[checked(served(Answer(EVERYTHING), DELTAS))] * 2)
    streams = (
        list(client.models.generate_content_stream(model=MODEL, contents="Hi")),
        [each async for each in await aclient.models.generate_content_stream(model=MODEL, contents="Hi")],
    )
    for events in streams:
        parts = [part for event in events for part in event.parts or ()]
        assert [(part.text, part.thought) for part in parts[:3]] == [("hm", True), ("Hello ", None), ("there.", None)]
        *media, signature, weather, time = parts[3:]
        assert (signature.text, signature.thought, signature.thought_signature) == ("", True, b"sig")
        _check([*media, weather, time])
        _check_end(events[-1])
    assert upstream.requests[0].path == f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"


def test_several_candidates(upstream: Upstream, client: genai.Client) -> None:
    several = Answer(answer("one").message, (answer("two", finish_reason="length").message,))
    upstream.script(served(several), served(several, [TextDelta("one")]))
    config = types.GenerateContentConfig(candidate_count=2)
    whole = client.models.generate_content(model=MODEL, contents="Hi", config=config)
    *_, last = client.models.generate_content_stream(model=MODEL, contents="Hi", config=config)
    for response in (whole, last):
        assert [each.finish_reason for each in response.candidates or ()] == [
            types.FinishReason.STOP,
            types.FinishReason.MAX_TOKENS,
        ]
    assert whole.candidates
    assert [each.content.parts[0].text for each in whole.candidates if each.content and each.content.parts] == [
        "one",
        "two",
    ]
    assert asked(upstream).settings.choices == 2


# --- what the SDK sends ---------------------------------------------------------------------------------------------


def test_a_request_with_everything(upstream: Upstream, client: genai.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    declared = types.FunctionDeclaration(name="get_weather", description="d", parameters_json_schema=schema)
    config = types.GenerateContentConfig(
        system_instruction="be brief",
        temperature=0.5,
        top_p=0.5,
        top_k=4,
        max_output_tokens=9,
        stop_sequences=["x"],
        seed=1,
        tools=[types.Tool(function_declarations=[declared])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW),
        response_mime_type="application/json",
        response_json_schema=schema,
    )
    picture = types.Part.from_bytes(data=b"\xff\xef\xff", mime_type="image/png")
    upstream.script(served(answer('{"a":1}')))
    client.models.generate_content(model=MODEL, contents=["look", picture], config=config)
    found = asked(upstream)
    assert found.messages == (user("look", Image(Inline(b"\xff\xef\xff", "image/png"))),)
    assert found.instructions == "be brief"
    assert [(tool.name, tool.description, msgspec.json.decode(tool.parameters)) for tool in found.tools] == [
        ("get_weather", "d", schema)
    ]
    settings = found.settings
    assert (settings.temperature, settings.top_p, settings.max_output_tokens, settings.seed) == (0.5, 0.5, 9, 1)
    assert (settings.stop, settings.tool_choice, settings.reasoning_effort) == (("x",), "required", "low")
    assert settings.output
    assert settings.output.schema
    assert msgspec.json.decode(settings.output.schema) == schema
    assert settings.extra == {"generationConfig": {"topK": 4.0}}


def get_weather(city: str) -> dict[str, object]:
    """The weather of a city."""
    return {"city": city, "degrees": 30}


async def test_the_sdk_runs_its_functions_for_our_calls(
    upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient
) -> None:
    called = answer(
        Text("Let me see.", signature="YQ=="),
        ToolCall("abc1", "get_weather", '{"city": "Rome"}', signature="YWJj"),
        ToolCall("abc2", "get_weather", '{"city": "Oslo"}'),
        finish_reason="tool_calls",
    )
    upstream.script(*[checked(served(called)), checked(served(answer("30 degrees.")))] * 2)
    config = types.GenerateContentConfig(tools=[get_weather])
    for response in (
        client.models.generate_content(model=MODEL, contents="Weather?", config=config),
        await aclient.models.generate_content(model=MODEL, contents="Weather?", config=config),
    ):
        assert response.text == "30 degrees."
    for n in (1, 3):
        question, call, results = asked(upstream, n).messages
        assert question == user("Weather?")
        assert call.parts == called.message.parts
        assert [(result.call_id, result.name, json.loads(result.text)) for result in results.tool_results] == [
            ("abc1", "get_weather", {"result": {"city": "Rome", "degrees": 30}}),
            ("abc2", "get_weather", {"result": {"city": "Oslo", "degrees": 30}}),
        ]


async def test_a_chat_keeps_what_we_answered(
    upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient
) -> None:
    signed = answer(Text("Hello.", signature="YQ=="))
    upstream.script(*[checked(served(signed)), checked(served(answer("Alice.")))] * 2)
    chat = client.chats.create(model=MODEL)
    achat = aclient.chats.create(model=MODEL)
    assert chat.send_message("I'm Alice.").text == "Hello."
    assert chat.send_message("Who?").text == "Alice."
    assert (await achat.send_message("I'm Alice.")).text == "Hello."
    assert (await achat.send_message("Who?")).text == "Alice."
    for n in (1, 3):
        first, hello, who = asked(upstream, n).messages
        assert (first, hello.parts, who) == (user("I'm Alice."), signed.message.parts, user("Who?"))


async def test_a_chat_that_streams_keeps_every_piece(
    upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient
) -> None:
    """The SDK forgets a turn if one event of its stream has no parts, so each of ours has some."""
    words = [TextDelta("Hel"), TextDelta("lo.")]
    empty: list[Delta] = []
    script = [
        checked(served(answer(Text("Hello.", signature="YQ==")), words)),
        checked(served(answer("Alice."), [TextDelta("Alice.")])),
        checked(served(answer(), empty)),
    ]
    upstream.script(*script * 2)
    chat, achat = client.chats.create(model=MODEL), aclient.chats.create(model=MODEL)
    for said in ("I'm Alice.", "Who?", "And?"):
        list(chat.send_message_stream(said))
    for said in ("I'm Alice.", "Who?", "And?"):
        _ = [event async for event in await achat.send_message_stream(said)]
    assert len(chat.get_history(curated=True)) == len(achat.get_history(curated=True)) == 9
    for n in (2, 5):
        sent = asked(upstream, n).messages
        assert [message.text for message in sent if message.role == "user"] == ["I'm Alice.", "Who?", "And?"]
        assert "".join(message.text for message in sent[1:-2]).startswith("Hello.")
        assert any(part == Text("", signature="YQ==") for message in sent for part in message.parts)
        assert list(complaints(upstream.requests[n].json)) == []


async def test_a_chat_with_functions_streams_through_them(
    upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient
) -> None:
    call = ToolCall("abc1", "get_weather", '{"city":"Rome"}', signature="YWJj")
    calling = ToolCallDelta(0, call.call_id, call.name, call.arguments)
    upstream.script(*[served(answer(call), [calling]), checked(served(answer("30."), [TextDelta("30.")]))] * 2)
    config = types.GenerateContentConfig(tools=[get_weather])
    chat = client.chats.create(model=MODEL, config=config)
    achat = aclient.chats.create(model=MODEL, config=config)
    assert "".join(event.text or "" for event in chat.send_message_stream("Weather?") if event.parts) == "30."
    events = [event async for event in await achat.send_message_stream("Weather?")]
    assert events[-2].text == "30."
    for n in (1, 3):
        (result,) = asked(upstream, n).messages[-1].tool_results
        assert isinstance(result, ToolResult)
        assert (result.call_id, result.name) == ("abc1", "get_weather")


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "code", "status"),
    [
        (InvalidInput("no"), errors.ClientError, 400, "INVALID_ARGUMENT"),
        (ContextOverflow("too long"), errors.ClientError, 400, "INVALID_ARGUMENT"),
        (RateLimited("slow", retry_after_s=1), errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        (ProviderFailed("boom"), errors.ServerError, 502, "UNAVAILABLE"),
    ],
)
async def test_an_error(
    upstream: Upstream, aclient: genai.client.AsyncClient, error: Exception, kind: Any, code: int, status: str
) -> None:
    upstream.script(*[failing(error)] * 2)
    with genai.Client(api_key="x", http_options=_options(upstream)) as client:
        with pytest.raises(kind) as caught:
            client.models.generate_content(model=MODEL, contents="Hi")
        assert (caught.value.code, caught.value.status, caught.value.message) == (code, status, str(error))
    with pytest.raises(kind) as caught:
        await aclient.models.generate_content(model=MODEL, contents="Hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (code, status, str(error))


async def test_an_error_within_a_stream(
    upstream: Upstream, client: genai.Client, aclient: genai.client.AsyncClient
) -> None:
    upstream.script(*[failing(ProviderFailed("boom"), TextDelta("Hel"))] * 2)
    events = client.models.generate_content_stream(model=MODEL, contents="Hi")
    assert next(events).text == "Hel"
    with pytest.raises(errors.ServerError, match="boom"):
        next(events)
    stream = await aclient.models.generate_content_stream(model=MODEL, contents="Hi")
    assert (await anext(stream)).text == "Hel"
    with pytest.raises(errors.ServerError, match="boom"):
        await anext(stream)
