"""A model behind the Gemini API, over real sockets: what it asks turn after turn, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from multiturn.conversation import Conversation
from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta, each, fold
from multiturn.errors import (
    AuthenticationFailed,
    ContextOverflow,
    InvalidReply,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    StreamCut,
)
from multiturn.formats import gemini
from multiturn.formats.gemini import Dialect
from multiturn.messages import (
    Image,
    Inline,
    Message,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    assistant,
    tool_result,
    user,
)
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, ToolSpec
from multiturn.turns import Turn, TurnStatus
from upstream import Behaviour, Exchange, Upstream, cut_after, sse, status
from upstream_gemini import VERSION, base_url, checked, complaints, error, events, fault, generated, said

KEY = "AIza-very-secret"
CALL = {"functionCall": {"name": "weather", "args": {"city": "Rome"}, "id": "abc1"}, "thoughtSignature": "YWJj"}
THOUGHT = {"text": "Let me see.", "thought": True}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def model_at(upstream: Upstream, **options: Any) -> RemoteModel[Dialect]:
    endpoint = Endpoint(provider="gemini", base_url=base_url(upstream), key_header="x-goog-api-key")
    options = {"retries": Retries(base_s=0.001), "key": KEY, **options}
    return RemoteModel("gemini-3-flash-preview", endpoint, gemini, Dialect(), **options)


def asking(*input: Message, streams: bool = False, turns: list[Turn] | None = None, **asked: Any) -> Request:
    return Request(path=Path(turns or ()), input=input or (user("hi"),), stream=streams, **asked)


async def answered(model: RemoteModel[Dialect], request: Request) -> tuple[list[Delta], Message]:
    """The deltas and the message of one answer."""
    *items, last = [item async for item in model.answer(request)]
    assert isinstance(last, Answer)
    return [delta for item in items if not isinstance(item, Answer | Notice) for delta in each(item)], last.message


async def failing(model: RemoteModel[Dialect], request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answered(model, request)
    return caught.value


def turn(n: int, *messages: Message) -> Turn:
    return Turn(id=f"turn_{n}", conversation="c", input=messages[:1], output=messages[1:])


# --- answers --------------------------------------------------------------------------------------------------------


async def test_an_answer_that_comes_whole(upstream: Upstream) -> None:
    upstream.script(checked(said(THOUGHT, {"text": "Hello."})))
    deltas, message = await answered(model_at(upstream), asking())
    assert deltas == []
    assert message == Message(
        "assistant",
        (Reasoning("Let me see."), Text("Hello.")),
        id="resp-1",
        origin=Origin("gemini", VERSION, "gemini"),
        usage=Usage(input_tokens=12, output_tokens=3),
        finish_reason="stop",
    )
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1beta/models/gemini-3-flash-preview:generateContent")
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers
    assert request.json["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}


async def test_an_answer_that_is_streamed(upstream: Upstream) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    upstream.script(
        checked(said(THOUGHT, {"text": "Hel"}, {"text": "lo."}, picture, {"text": "", "thoughtSignature": "YQ=="}))
    )
    deltas, message = await answered(model_at(upstream), asking(streams=True))
    image = Image(Inline(b"\x89PNG", "image/png"))
    signed = Text("", signature="YQ==")
    assert deltas == [ReasoningDelta("Let me see."), TextDelta("Hel"), TextDelta("lo."), PartDelta(image)]
    assert message.parts == (Reasoning("Let me see."), Text("Hello."), image, signed) == (*fold(deltas).parts, signed)
    assert message.usage == Usage(input_tokens=12, output_tokens=3)
    path = "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse"
    assert upstream.requests[0].path == path


@pytest.mark.parametrize("streams", [False, True])
async def test_tools_over_several_turns(upstream: Upstream, streams: bool) -> None:
    """The result comes in the next turn, from a client that runs its own tools; then another provider takes part."""
    model = model_at(upstream)
    tools = (ToolSpec("weather"),)
    upstream.script(checked(said(THOUGHT, CALL)), checked(said({"text": "30 degrees.", "thoughtSignature": "Yg=="})))
    deltas, call = await answered(model, asking(user("Weather?"), streams=streams, tools=tools))
    assert call.parts == (Reasoning("Let me see."), ToolCall("abc1", "weather", '{"city": "Rome"}', signature="YWJj"))
    assert call.finish_reason == "tool_calls"
    assert (ToolCallDelta(0, "abc1", "weather", '{"city": "Rome"}') in deltas) is streams

    turns = [turn(1, user("Weather?"), call)]
    result = tool_result("abc1", {"degrees": 30}, name="weather")
    _, done = await answered(model, asking(result, streams=streams, turns=turns, tools=tools))
    assert done.parts == (Text("30 degrees.", signature="Yg=="),)
    assert upstream.requests[1].json["contents"] == [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        {"role": "model", "parts": [THOUGHT, CALL]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "weather", "response": {"degrees": 30}, "id": "abc1"}}],
        },
    ]

    foreign = Message("assistant", (ToolCall("call_9", "weather", "{}"),), origin=Origin("openai", "gpt", "responses"))
    turns += [turn(2, result, done), turn(3, user("And Oslo?"), foreign)]
    upstream.script(checked(said({"text": "10 degrees."})))
    await answered(model, asking(tool_result("call_9", "10", name="weather"), turns=turns, tools=tools))
    last_call, last_result = upstream.requests[2].json["contents"][-2:]
    assert last_call["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"
    assert last_call["parts"][0]["functionCall"]["id"] == last_result["parts"][0]["functionResponse"]["id"]
    assert upstream.requests[2].json["contents"][:3] == upstream.requests[1].json["contents"]


async def test_the_history_s_bytes_do_not_change(upstream: Upstream) -> None:
    model = model_at(upstream)
    path = Path()
    for n in range(4):
        upstream.script(checked(said({"text": f"answer {n}"})))
        _, message = await answered(model, Request(path=path, input=(user(f"question {n}"),)))
        path = path.followed_by(turn(n, user(f"question {n}"), message))
    bodies = [request.body.partition(b'],"generationConfig"')[0] for request in upstream.requests]
    assert all(later.startswith(earlier + b",") for earlier, later in pairwise(bodies))


async def test_a_call_that_nobody_answered_does_not_end_the_conversation(upstream: Upstream) -> None:
    upstream.script(checked(said({"text": "Never mind, then."})))
    call = assistant(ToolCall("abc1", "weather", "{}", signature="YWJj"))
    await answered(model_at(upstream), asking(user("Forget it."), turns=[turn(1, user("Weather?"), call)]))
    assert list(complaints(upstream.requests[0].json)) == []


async def test_a_conversation_in_which_a_call_was_left_alone_goes_on(upstream: Upstream) -> None:
    upstream.script(checked(said(CALL)), checked(said({"text": "All right."})))
    conversation = Conversation(model_at(upstream))
    assert (await conversation.asend("Weather?")).message.tool_calls
    assert (await conversation.asend("Forget it.")).text == "All right."


@pytest.mark.parametrize("streams", [False, True])
async def test_a_model_before_gemini_3_has_ids_of_our_making(upstream: Upstream, streams: bool) -> None:
    bare = {"functionCall": {"name": "weather", "args": {}}}
    upstream.script(said(bare), said({"text": "30."}))
    model = model_at(upstream)
    _, call = await answered(model, asking(user("Weather?"), streams=streams))
    (made,) = call.tool_calls
    await answered(model, asking(tool_result(made.call_id, "30"), turns=[turn(1, user("Weather?"), call)]))
    *_, asked, given = (content["parts"] for content in upstream.requests[1].json["contents"])
    assert asked == [bare]
    assert given == [{"functionResponse": {"name": "weather", "response": {"output": "30"}}}]


# --- what goes wrong ------------------------------------------------------------------------------------------------

RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36s"}
FAULTS: list[tuple[Behaviour, type[ModelError], str]] = [
    (fault(400, "INVALID_ARGUMENT", "API key not valid."), AuthenticationFailed, "Check GEMINI_API_KEY."),
    (fault(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"), ContextOverflow, "Shorten"),
    (fault(404, "NOT_FOUND", "models/x is not found"), ModelNotFound, "Check the model's name"),
    (fault(429, "RESOURCE_EXHAUSTED", "Slow down.", RETRY), RateLimited, "Try again in 36 s."),
    (fault(503, "UNAVAILABLE", "Overloaded."), ProviderFailed, "answered 503 (UNAVAILABLE): Overloaded."),
    (status(200, {"promptFeedback": {"blockReason": "SAFETY"}}), RequestRejected, "blocked the prompt (SAFETY)"),
    (status(200, {"usageMetadata": {}}), InvalidReply, "no candidates"),
]


@pytest.mark.parametrize(("behaviour", "kind", "words"), FAULTS)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_fault(
    upstream: Upstream, behaviour: Behaviour, kind: type[ModelError], words: str, streams: bool
) -> None:
    upstream.script(behaviour)
    found = await failing(model_at(upstream, retries=Retries(attempts=1)), asking(streams=streams))
    assert type(found) is kind
    assert words in str(found)
    assert (found.provider, found.model) == ("gemini", "gemini-3-flash-preview")


async def test_a_provider_that_was_busy_is_asked_again(upstream: Upstream) -> None:
    upstream.script(fault(503, "UNAVAILABLE", "Overloaded."), said({"text": "Hello."}))
    assert (await answered(model_at(upstream), asking(streams=True)))[1].text == "Hello."


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([generated({"text": "Hel"}, finish=None), error(500, "INTERNAL", "Boom.")], ProviderFailed),
        ([generated({"text": "Hel"}, finish=None)], StreamCut),
        ([{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}], RequestRejected),
    ],
)
async def test_what_goes_wrong_within_a_stream(upstream: Upstream, pieces: list[Any], kind: type[ModelError]) -> None:
    upstream.script(events(*pieces))
    assert type(await failing(model_at(upstream), asking(streams=True))) is kind


async def test_a_connection_that_breaks_before_the_end(upstream: Upstream) -> None:
    upstream.script(cut_after(0))
    found = await failing(model_at(upstream), asking(streams=True))
    assert isinstance(found, StreamCut)


async def test_a_stream_that_hangs_after_its_last_word_has_lost_nothing(upstream: Upstream) -> None:
    async def last_words(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.chunk(sse(generated({"text": "Hello."})))
        await asyncio.Event().wait()

    upstream.script(last_words)
    model = model_at(upstream, timeouts=Timeouts(idle_s=0.05))
    assert (await answered(model, asking(streams=True)))[1].text == "Hello."


async def test_an_answer_that_was_filtered_is_incomplete(upstream: Upstream) -> None:
    upstream.script(said({"text": "Well, "}, finish="SAFETY"))
    reply = await Conversation(model_at(upstream)).asend("Hm?")
    assert (reply.status, reply.text, reply.turn.reason) == (TurnStatus.INCOMPLETE, "Well, ", "content_filter")


async def test_the_key_is_in_no_error(upstream: Upstream) -> None:
    upstream.script(fault(403, "PERMISSION_DENIED", f"The key {KEY} may not."))
    found = await failing(model_at(upstream), asking())
    assert KEY not in f"{found} {vars(found)}"
