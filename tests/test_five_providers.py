"""One conversation that visits every kind of provider and comes back: real sockets, real gRPC, each server saying no to
what its provider would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import openresponses
import upstream_anthropic
import upstream_gemini
import upstream_responses
import upstream_xai
from multiturn import Conversation, tool
from multiturn.messages import Image, Inline, Reasoning, ToolCall
from multiturn.turns import pending_calls
from upstream import Upstream, reply, tool_call

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
GEMINI_SIGNATURE = "Z2VtaW5pLXNlYWxlZA=="  # base64, as Google's are


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


class Cast:
    """The five, each with marks in all that is its own: signatures, sealed thinking, item ids, call ids."""

    def __init__(self, stack: ExitStack) -> None:
        self.responses = upstream_responses.Provider()
        self.openai = stack.enter_context(upstream_responses.ResponsesUpstream(self.responses))
        self.chat = stack.enter_context(Upstream())
        self.anthropic = stack.enter_context(Upstream())
        self.gemini = stack.enter_context(Upstream())
        self.xai = stack.enter_context(upstream_xai.XaiUpstream())

    def scripted(self, kind: str, n: int) -> None:
        """The provider's next two answers: thinking and a call, then thinking and words."""
        arguments = {"a": n, "b": 1}
        match kind:
            case "responses":
                sealed = upstream_responses.reasoning("I add.", encrypted=f"openai-sealed-{n}", id=f"rs_openai{n}")
                call = upstream_responses.call("add", arguments, call_id=f"call_openai{n}")
                self.responses.says(sealed, {**call, "id": f"fc_openai{n}"})
                after = upstream_responses.reasoning("It is.", encrypted=f"openai-sealed-b{n}", id=f"rs_openaib{n}")
                self.responses.says(after, upstream_responses.message(f"openai says {n + 1}", id=f"msg_openai{n}"))
            case "chat":
                self.chat.script(tool_call("add", arguments, call_id=f"call_chat{n}"), reply(f"chat says {n + 1}"))
            case "anthropic":
                thinking = upstream_anthropic.thinking("I add.", f"anthropic-signature-{n}")
                redacted = upstream_anthropic.redacted(f"anthropic-redacted-{n}")
                call = upstream_anthropic.tool_use("add", arguments, f"toolu_anthropic{n}")
                self.anthropic.script(
                    upstream_anthropic.judged(upstream_anthropic.reply(thinking, call, stop_reason="tool_use")),
                    upstream_anthropic.judged(upstream_anthropic.reply(redacted, f"anthropic says {n + 1}")),
                )
            case "gemini":
                call = {"functionCall": {"name": "add", "args": arguments, "id": f"gemini-call-{n}"}}
                self.gemini.script(
                    upstream_gemini.checked(upstream_gemini.said({**call, "thoughtSignature": GEMINI_SIGNATURE})),
                    upstream_gemini.checked(upstream_gemini.said({"text": f"gemini says {n + 1}"})),
                )
            case "xai":
                self.xai.script(
                    upstream_xai.tool_call("add", f'{{"a":{n},"b":1}}', id=f"call_xai{n}"),
                    upstream_xai.thinking("I add.", f"xai says {n + 1}", f"xai-sealed-{n}"),
                )

    def sent(self, kind: str) -> list[bytes]:
        """Every request that the provider has got, as it came."""
        if kind == "xai":
            return [received.proto.SerializeToString() for received in self.xai.requests]
        server = {"responses": self.openai, "chat": self.chat, "anthropic": self.anthropic, "gemini": self.gemini}
        return [received.body for received in server[kind].requests]


MODELS = {
    "responses": ("openai:gpt-5-mini", "responses"),
    "chat": ("arcee:trinity-mini", None),
    "anthropic": ("anthropic:claude-sonnet-5", None),
    "gemini": ("gemini:gemini-3-flash-preview", None),
    "xai": ("xai:grok-4-1-fast-reasoning", "grpc"),
}
MARKS = {
    "responses": rb"openai-sealed|rs_openai|fc_openai|msg_openai|call_openai",
    "chat": rb"chatcmpl-|call_chat",
    "anthropic": rb"anthropic-signature|anthropic-redacted|toolu_anthropic",
    "gemini": rb"Z2VtaW5pLXNlYWxlZA|gemini-call-",
    "xai": rb"xai-sealed|call_xai",
}
"""What belongs to one provider."""
VISITS = ["responses", "chat", "anthropic", "gemini", "xai", "responses", "gemini", "anthropic", "xai", "responses"]


@pytest.fixture
def cast(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cast]:
    with ExitStack() as stack:
        cast = Cast(stack)
        for name in ("OPENAI", "ARCEE", "ANTHROPIC", "GEMINI"):
            monkeypatch.setenv(f"{name}_API_KEY", "k")
        monkeypatch.setenv("XAI_API_KEY", upstream_xai.KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", cast.openai.url)
        monkeypatch.setenv("ARCEE_BASE_URL", cast.chat.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream_anthropic.base_url(cast.anthropic))
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"http://127.0.0.1:{cast.gemini.port}")
        monkeypatch.setenv("XAI_BASE_URL", f"http://{cast.xai.host}")
        yield cast


@pytest.mark.parametrize("stored", [True, False], ids=["state upstream", "history resent"])
async def test_twenty_turns_with_every_provider_and_back(cast: Cast, stored: bool, tmp_path: object) -> None:
    chat = Conversation(tools=[add], store=f"sqlite:///{tmp_path}/chats.db", instructions="Be brief.")
    if not stored:
        chat.settings = type(chat.settings)(store=False)
    for n, kind in enumerate(VISITS * 2):
        chat.model, chat.api = MODELS[kind]  # type: ignore[assignment]
        cast.scripted(kind, n)
        picture = Image(Inline(PNG + bytes([n]), "image/png"))
        said = [f"{n} + 1?", picture] if n % 3 == 0 and kind != "chat" else f"{n} + 1?"
        events = [event async for event in chat.astream(said)]  # type: ignore[arg-type]
        assert events[-1].reply.text.endswith(f"says {n + 1}")  # type: ignore[union-attr]
    turns = await chat.aturns()
    assert len(turns) == 20
    assert all(pending_calls(turn.output) == () for turn in turns)
    parts = [part for turn in turns for message in turn.output for part in message.parts]
    assert sum(isinstance(part, ToolCall) for part in parts) == 20
    assert any(isinstance(part, Reasoning) and part.signature for part in parts)

    for kind in MODELS:
        foreign = re.compile(b"|".join(marks for other, marks in MARKS.items() if other != kind))
        for body in cast.sent(kind):
            assert not (leaked := foreign.search(body)), f"{leaked and leaked[0]!r} reached {kind}"

    last = {kind: cast.sent(kind)[-1] for kind in MODELS}
    assert b"anthropic-signature-2" in last["anthropic"]  # its own come back, of every earlier visit
    assert b"anthropic-redacted-7" in last["anthropic"]
    assert last["gemini"].count(GEMINI_SIGNATURE.encode()) == 4
    for asked in cast.openai.requests:
        assert openresponses.problems(asked.json, "CreateResponseBody") == []
    if stored:
        assert b"previous_response_id" in last["responses"]
    else:
        for n in (0, 5, 9, 10, 15):
            assert b"openai-sealed-%d" % n in last["responses"]
            assert b"rs_openaib%d" % n in last["responses"]
    for context in cast.responses.contexts:
        calls = [item["call_id"] for item in context if item.get("type") == "function_call"]
        outputs = [item["call_id"] for item in context if item.get("type") == "function_call_output"]
        assert calls == outputs or calls[:-1] == outputs


async def test_a_switch_is_told(cast: Cast) -> None:
    chat = Conversation(tools=[add])
    told: list[str] = []
    for n, kind in enumerate(["anthropic", "responses", "responses"]):
        chat.model, chat.api = MODELS[kind]  # type: ignore[assignment]
        cast.scripted(kind, n)
        reply = await chat.asend(f"{n} + 1?")
        told.append("; ".join(notice.text for notice in reply.turn.notices))
    assert told[0] == told[2] == ""
    assert "signatures and encrypted content go back to their own provider alone (2 times)" in told[1]
    assert "thinking of another provider is not sent (once)" in told[1]
    assert "tool calls and their results carry ids that this provider takes (2 times)" in told[1]
