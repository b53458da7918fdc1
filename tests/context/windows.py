"""Conversations for tests of the window: random ones with tools, media and pins, some of them broken; and what makes a
request valid, format by format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from multiturn.messages import (
    Image,
    Inline,
    Message,
    Origin,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    tool_result,
    user,
)
from multiturn.request import Request
from multiturn.turns import Turn, TurnStatus, matched

PICTURE = Image(Inline(b"\x89PNG\r\n\x1a\n" + b"x" * 40, "image/png"))
IDS = st.sampled_from(["call_0", "call_1", "toolu_01", "a" * 50])

FATES = st.sampled_from(["answered", "answered", "answered", "answered", "left", "twice", "strange"])

texts = st.integers(0, 60).map(lambda n: "some words of it " * n)


@st.composite
def turns(draw: st.DrawFn, *, broken: bool = True, least: int = 0) -> list[Turn]:
    """Turns in which users say words and show pictures, models call tools, and tools answer, now and then not at all,
    twice, or a turn later, under ids that come again and again."""
    made: list[Turn] = []
    late: list[ToolResult] = []
    for n in range(draw(st.integers(least, 8))):
        parts: list[Part] = [Text(f"turn {n}: {draw(texts)}"), *([PICTURE] if draw(st.booleans()) else [])]
        before = made[-1].messages if made else ()
        said = [*matched([Message("tool", (result,)) for result in late], before), user(*parts)]
        output: list[Message] = []
        late = []
        for _ in range(draw(st.integers(0, 2))):
            calls = [ToolCall(draw(IDS), "look", '{"at":1}') for _ in range(draw(st.integers(1, 2)))]
            output.append(Message("assistant", tuple(calls), origin=Origin("openai", "m", "chat_completions")))
            for call in calls:
                fate = draw(
                    st.sampled_from(["answered"] * 4 + ["left", "twice", "strange"] if broken else ["answered"])
                )
                given = tool_result(
                    "nowhere" if fate == "strange" else call.call_id, "found " * draw(st.integers(0, 300))
                )
                output += [] if fate == "left" else [given, given] if fate == "twice" else [given]
        if output and draw(st.integers(0, 5)) == 0 and broken:
            late = [result for message in output[-1:] for result in message.tool_results]
            output = [*output[:-1]] if late else output
        if not late:
            usage = Usage(input_tokens=draw(st.integers(0, 900)), output_tokens=5)
            output.append(Message("assistant", (Text(f"answer {n}"),), usage=usage, origin=Origin("openai", "m")))
        made.append(Turn(id=f"t{n}", input=tuple(said), output=tuple(output), status=TurnStatus.COMPLETED))
    return made


def pairs_are_whole(messages: Sequence[Message]) -> None:
    """Each call is answered once and right after its answer, and nothing else is."""
    waiting: list[str] = []
    used: set[str] = set()
    for message in messages:
        if message.role == "assistant":
            assert not waiting, "words of the model while calls wait"
            ids = [call.call_id for call in message.tool_calls]
            assert not used & set(ids)
            assert len(set(ids)) == len(ids)
            used |= set(ids)
            waiting = ids
        for result in message.tool_results:
            assert result.call_id in waiting, "a result of nothing"
            waiting.remove(result.call_id)
        if message.role != "assistant" and any(not isinstance(part, ToolResult) for part in message.parts):
            assert not waiting, "words while calls wait"
    assert not waiting, "calls without a result"


# --- each format's own rules ------------------------------------------------------------------------------------------


def chat_completions_is_valid(body: bytes) -> None:
    """A message of role `tool` follows the answer that has its call, and every call has one."""
    waiting: list[str] = []
    for message in json.loads(body)["messages"]:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting
        waiting = [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting


def responses_is_valid(body: bytes) -> None:
    """Every call has one output, after it, and the other way round."""
    waiting: list[str] = []
    for item in json.loads(body)["input"]:
        if item["type"].endswith("_output"):
            waiting.remove(item["call_id"])
        elif item["type"].endswith("_call"):
            assert item["call_id"] not in waiting
            waiting.append(item["call_id"])
    assert not waiting


def anthropic_is_valid(body: bytes) -> None:
    """It begins with the user; calls have ids of their own, and are answered at the beginning of the next message."""
    waiting: list[str] = []
    used: set[str] = set()
    messages = json.loads(body)["messages"]
    assert messages[0]["role"] == "user"
    for message in messages:
        blocks = _blocks(message["content"])
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(results) == sorted(waiting)
        assert all(block["type"] == "tool_result" for block in blocks[: len(results)])
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not used & set(waiting), "an id comes again"
        used |= set(waiting)
    assert not waiting


def gemini_is_valid(body: bytes) -> None:
    """It begins with the user, and as many responses follow as there were calls."""
    waiting = 0
    contents = json.loads(body)["contents"]
    assert contents[0]["role"] == "user"
    for content in contents:
        answered = sum("functionResponse" in part for part in content["parts"])
        assert answered == waiting
        waiting = sum("functionCall" in part for part in content["parts"])
    assert not waiting


def xai_is_valid(body: bytes) -> None:
    """As in chat completions."""
    from multiturn.formats.xai.wire import chat_pb2

    waiting: list[str] = []
    for message in chat_pb2.GetCompletionsRequest.FromString(body).messages:
        if message.role == chat_pb2.ROLE_TOOL:
            waiting.remove(message.tool_call_id)
            continue
        assert not waiting
        waiting = [call.id for call in message.tool_calls]
    assert not waiting


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text"}] if isinstance(content, str) else content


def formats() -> list[tuple[str, Any, Any, Any]]:
    """Every format: its name, the module, a dialect, and the check of a body."""
    from multiturn.formats import anthropic, chat_completions, gemini, responses
    from multiturn.formats import xai as xai_package
    from multiturn.formats.xai import messages as xai_messages
    from multiturn.formats.xai import requests as xai_requests

    class Xai:
        encode_messages = staticmethod(xai_messages.encode_messages)
        encode_request = staticmethod(xai_requests.encode_request)

    strict = chat_completions.Dialect(provider="local", alternate=True, answers_tools=True)
    return [
        ("chat_completions", chat_completions, chat_completions.Dialect(), chat_completions_is_valid),
        ("chat_completions, strict", chat_completions, strict, chat_completions_is_valid),
        ("responses", responses, responses.Dialect(), responses_is_valid),
        ("anthropic", anthropic, anthropic.Dialect(max_tokens=100), anthropic_is_valid),
        ("gemini", gemini, gemini.Dialect(), gemini_is_valid),
        ("xai", Xai, xai_package.Dialect(), xai_is_valid),
    ]


def body_of(format: Any, dialect: Any, request: Request) -> bytes:
    """The request's body, joined from kept bytes as models do it."""
    history = request.path.encoded((format, dialect), lambda messages: format.encode_messages(messages, dialect))
    made: bytes = format.encode_request(request, history, model="m", dialect=dialect)
    return made


def calling(*ids: str) -> Message:
    return Message("assistant", tuple(ToolCall(id, "look", "{}") for id in ids))


def exchange(n: int, words: int = 3) -> Turn:
    """A turn of about twice as many words."""
    return Turn(id=f"t{n}", input=(user(f"ask {n} " * words),), output=(assistant(f"say {n} " * words),))
