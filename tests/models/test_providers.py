"""The habits of the built-in providers, on the wire: what each is sent of a history that is hard on most of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from multiturn.deltas import Answer
from multiturn.errors import AuthenticationFailed
from multiturn.messages import (
    Image,
    Inline,
    Message,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from multiturn.models.limits import Timeouts
from multiturn.models.providers import PROVIDERS
from multiturn.models.registry import resolve
from multiturn.path import Path
from multiturn.request import OutputSchema, Request, Settings
from multiturn.turns import Turn
from upstream import Upstream, reply, status

ELSEWHERE = Origin("anthropic", "claude-opus-5", "anthropic")
CALL_ID = "toolu_01A09q90qw90lq917835lq9"
PICTURE = Image(Inline(b"\x89PNG", "image/png"))
SCHEMA = msgspec.Raw(b'{"type":"object"}')


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def said_elsewhere(*parts: Any) -> Message:
    return msgspec.structs.replace(assistant(*parts), origin=ELSEWHERE)


def stopped_turn() -> Turn:
    """A turn in which Claude called a tool that drew a picture; it was stopped before it said what it saw."""
    drawn = Message("tool", (ToolResult(CALL_ID, (Text("drawn"), PICTURE)),))
    called = said_elsewhere(Reasoning("hm", signature="sig"), ToolCall(CALL_ID, "draw", '{"what": "a cat'))
    return Turn(id="t1", conversation="c", input=(user("Draw a cat", name="ann"),), output=(called, drawn))


async def sent(upstream: Upstream, provider: str, request: Request) -> dict[str, Any]:
    """The request's body as it arrives at the provider."""
    upstream.script(reply("Yes."))
    model = resolve(f"{provider}:m", base_url=upstream.url, api_key="sk-1")
    assert isinstance([item async for item in model.answer(request)][-1], Answer)
    return upstream.requests[-1].json


def asking(*turns: Turn, settings: Settings | None = None, stream: bool = False) -> Request:
    input = (system("Be brief."), user("Is it black?"))
    return Request(path=Path(turns), input=input, settings=settings or Settings(), stream=stream)


def shape(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


CHATTING = [name for name, row in PROVIDERS.items() if row.formats[0] == "chat_completions"]
USUAL = ["user", "assistant", "tool", "user", "system", "user"]
ORDERS = {
    "mistral": ["user", "assistant", "tool", "assistant", "user"],
    "vllm": ["user", "assistant", "tool", "user"],
    "llamacpp": ["user", "assistant", "tool", "user"],
    "lmstudio": ["user", "assistant", "tool", "user"],
}


@pytest.mark.parametrize("name", CHATTING)
async def test_roles_stand_in_the_order_that_the_provider_takes(upstream: Upstream, name: str) -> None:
    body = await sent(upstream, name, asking(stopped_turn()))
    assert shape(body["messages"]) == ORDERS.get(name, USUAL)


@pytest.mark.parametrize("name", CHATTING)
async def test_a_call_and_its_result_have_an_id_that_the_provider_takes(upstream: Upstream, name: str) -> None:
    messages = (await sent(upstream, name, asking(stopped_turn())))["messages"]
    (call,) = messages[1]["tool_calls"]
    assert call["id"] == messages[2]["tool_call_id"]
    assert call["id"].isalnum() and len(call["id"]) == 9 if name == "mistral" else call["id"].startswith("call_")
    assert call["function"]["arguments"] == '{"invalid_json":"{\\"what\\": \\"a cat"}'


@pytest.mark.parametrize("name", CHATTING)
async def test_thinking_and_content_beside_a_call(upstream: Upstream, name: str) -> None:
    message = (await sent(upstream, name, asking(stopped_turn())))["messages"][1]
    local = not PROVIDERS[name].needs_key
    assert message["content"] == ("" if local else None)
    assert message.get("reasoning_content") == ("" if name == "deepseek" else None)  # Claude's own is not sent
    assert "reasoning" not in message


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("arcee", "reasoning_content"),
        ("deepseek", "reasoning_content"),
        ("fireworks", "reasoning_content"),
        ("llamacpp", "reasoning_content"),
        ("openrouter", "reasoning"),
        ("ollama", "reasoning"),
        ("vllm", "reasoning"),
        ("openai", None),
        ("xai", None),
        ("mistral", None),
    ],
)
async def test_its_own_thinking_goes_back_where_it_wants_it(upstream: Upstream, name: str, field: str | None) -> None:
    own = msgspec.structs.replace(assistant(Reasoning("hm"), "Yes."), origin=Origin(name, "m", "chat_completions"))
    turn = Turn(id="t1", conversation="c", input=(user("Really?"),), output=(own,))
    message = (await sent(upstream, name, asking(turn)))["messages"][1]
    assert message == {"role": "assistant", "content": "Yes.", **({field: "hm"} if field else {})}


@pytest.mark.parametrize("name", CHATTING)
async def test_a_setting_goes_into_the_field_that_the_provider_knows(upstream: Upstream, name: str) -> None:
    settings = Settings(max_output_tokens=9, seed=1, output=OutputSchema(SCHEMA))
    body = await sent(upstream, name, asking(settings=settings, stream=True))
    newer = name in ("openai", "azure", "xai", "groq")
    assert body["max_completion_tokens" if newer else "max_tokens"] == 9
    assert body["random_seed" if name == "mistral" else "seed"] == 1
    assert ("stream_options" in body) is (name != "mistral")
    assert body["response_format"]["type"] == ("json_object" if name == "deepseek" else "json_schema")
    assert ('{"type":"object"}' in str(body["messages"])) is (name == "deepseek")


@pytest.mark.parametrize("name", CHATTING)
async def test_names_and_refusals(upstream: Upstream, name: str) -> None:
    turn = Turn(id="t1", conversation="c", input=(user("Hi", name="ann"),), output=(assistant(Refusal("No.")),))
    asked, refused = (await sent(upstream, name, asking(turn)))["messages"][:2]
    assert asked.get("name") == (None if name in ("mistral", "groq") else "ann")
    ours = name in ("openai", "azure")
    assert (refused["content"], refused.get("refusal")) == ((None, "No.") if ours else ("No.", None))


# --- every format, to its end ---------------------------------------------------------------------------------------

REPLIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat_completions": (
        "/chat/completions",
        {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]},
    ),
    "responses": (
        "/responses",
        {
            "id": "resp_1",
            "object": "response",
            "status": "completed",
            "model": "m",
            "output": [
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
                }
            ],
        },
    ),
    "anthropic": (
        "/v1/messages",
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": "Yes."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    ),
    "gemini": (
        "/models/m:generateContent",
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Yes."}]}, "finishReason": "STOP"}]},
    ),
}
EVERY = [(name, format) for name, row in PROVIDERS.items() for format in row.formats]


@pytest.mark.parametrize(("name", "format"), EVERY)
async def test_every_provider_answers_in_every_format_that_it_speaks(
    upstream: Upstream, name: str, format: str
) -> None:
    path, answer = REPLIES[format]
    upstream.script(status(200, answer))
    model = resolve(
        f"{name}:m",
        base_url=upstream.url,
        api_key="sk-1",
        api="responses" if format == "responses" else None,
        timeouts=Timeouts(total_s=5),
    )
    items = [item async for item in model.answer(asking())]
    assert isinstance(items[-1], Answer)
    assert items[-1].message.text == "Yes."
    assert items[-1].message.origin is not None
    assert (items[-1].message.origin.provider, items[-1].message.origin.format) == (name, format)
    assert upstream.requests[0].path == f"/v1{path}"


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_key_goes_where_the_provider_looks_for_it(upstream: Upstream, name: str) -> None:
    upstream.script(status(200, REPLIES[PROVIDERS[name].formats[0]][1]))
    model = resolve(f"{name}:m", base_url=upstream.url, api_key="sk-1")
    _ = [item async for item in model.answer(asking())]
    headers = upstream.requests[0].headers
    header = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(name, "authorization")
    assert headers[header] == ("Bearer sk-1" if header == "authorization" else "sk-1")
    assert sum("sk-1" in value for value in headers.values()) == 1
    assert headers.get("anthropic-version") == ("2023-06-01" if name == "anthropic" else None)


async def test_an_error_about_the_key_names_the_variable_it_came_from(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("GOOGLE_API_KEY", "sk-1")
    upstream.script(status(401))
    with pytest.raises(AuthenticationFailed, match="Check GOOGLE_API_KEY"):
        _ = [item async for item in resolve("gemini:m", base_url=upstream.url).answer(asking())]
