"""The same faults over real sockets, in every format: what comes of them is a history that the provider takes. Each
upstream refuses what its provider would refuse, on the way in and for good."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

import openresponses
import upstream_anthropic
import upstream_gemini
import upstream_responses
import upstream_xai
from multiturn import Conversation, InvalidInput, TurnStatus, tool
from multiturn.cancel import Cancel
from multiturn.errors import OutputInvalid, RunCancelled
from multiturn.events import ToolCallStarted
from multiturn.tools import AnyTool
from multiturn.turns import pending_calls
from upstream import Behaviour, Exchange, Json, Received, Upstream, status
from upstream import _answer as chat_answer

SIGNATURE = "Z2VtaW5pLXNlYWxlZA=="
FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
Call = tuple[str, Json | str, str]
"""A call as a model writes it: the name, the arguments, or their text where they are no JSON, and the id."""


# --- the upstreams ----------------------------------------------------------------------------------------------------


class Chat:
    """`/v1/chat/completions`, as OpenAI judges it."""

    model, api, variables = "openai:gpt-5-mini", "chat", ("OPENAI_API_KEY", "OPENAI_BASE_URL")

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(Upstream())
        self.url = self.server.url

    def calls(self, *calls: Call, finish: str = "tool_calls") -> None:
        items = [{"id": id, "type": "function", "function": function(name, said)} for name, said, id in calls]
        deltas = [{"tool_calls": [{"index": n, **item}]} for n, item in enumerate(items)]
        message = {"content": None, "tool_calls": items}
        self.server.script(judged(chat_answer(deltas, message, None, 0.0, {"finish_reason": finish})))

    def cut(self, *calls: Call) -> None:
        self.calls(*calls, finish="length")

    def says(self, text: str) -> None:
        self.server.script(judged(chat_answer([{"content": text}], {"content": text}, None, 0.0, {})))


def function(name: str, arguments: Json | str) -> Json:
    return {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}


def judged(behaviour: Behaviour) -> Behaviour:
    async def run(exchange: Exchange) -> None:
        problem = chat_problem(exchange.request)
        await (status(400, {"error": {"message": problem}}) if problem else behaviour)(exchange)

    return run


def chat_problem(request: Received) -> str | None:
    """What OpenAI would say of this request's tool calls."""
    waiting: list[str] = []
    for message in request.json["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return "an assistant message with 'tool_calls' must be followed by tool messages"
        calls = message.get("tool_calls") or []
        waiting = [call["id"] for call in calls]
        if any(not FUNCTION_NAME.fullmatch(call["function"]["name"]) for call in calls):
            return "Invalid 'tool_calls[0].function.name': string does not match pattern '^[a-zA-Z0-9_-]+$'"
        if not all(0 < len(id) <= 40 for id in waiting) or len(set(waiting)) < len(waiting):
            return "Invalid 'tool_calls[0].id'"
    return "an assistant message with 'tool_calls' must be followed by tool messages" if waiting else None


class Responses:
    """The Responses API; OpenAI keeps its answers, unless `stored` is false."""

    model, api, variables = "openai:gpt-5-mini", "responses", ("OPENAI_API_KEY", "OPENAI_BASE_URL")

    def __init__(self, stack: ExitStack) -> None:
        self.provider = upstream_responses.Provider()
        self.server = stack.enter_context(upstream_responses.ResponsesUpstream(self._judged))
        self.url = self.server.url
        self._cut: list[Json] = []

    async def _judged(self, exchange: Exchange) -> None:
        problems = openresponses.problems(exchange.request.json, "CreateResponseBody")
        problem = problems[0] if problems else ""
        before = len(self.provider.contexts)
        items = [item for item in exchange.request.json["input"] if item.get("type") == "function_call"]
        if any(not FUNCTION_NAME.fullmatch(item["name"]) for item in items):
            problem = "Invalid 'input[1].name': string does not match pattern '^[a-zA-Z0-9_-]+$'"
        if problem:
            await status(400, {"error": {"message": problem}})(exchange)
            return
        if self._cut:
            details = {"reason": "max_output_tokens"}
            whole = upstream_responses.response(self._cut, status="incomplete", incomplete_details=details)
            self._cut = []
            await upstream_responses.replies(whole)(exchange)
            return
        await self.provider(exchange)
        for context in self.provider.contexts[before:]:
            calls = [item["call_id"] for item in context if item.get("type") == "function_call"]
            outputs = [item["call_id"] for item in context if item.get("type") == "function_call_output"]
            assert sorted(calls) == sorted(outputs), "No tool output found for function call"

    def calls(self, *calls: Call) -> None:
        self.provider.says(*map(self._item, calls))

    def cut(self, *calls: Call) -> None:
        self._cut = [{**self._item(call), "status": "incomplete"} for call in calls]

    def _item(self, call: Call) -> Json:
        name, arguments, id = call
        return upstream_responses.call(name, {}, call_id=id) | {"arguments": function(name, arguments)["arguments"]}

    def says(self, text: str) -> None:
        self.provider.says(upstream_responses.message(text))


class Anthropic:
    model, api, variables = "anthropic:claude-sonnet-5", None, ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(Upstream())
        self.url = upstream_anthropic.base_url(self.server)

    def calls(self, *calls: Call, **fields: Any) -> None:
        blocks = [upstream_anthropic.tool_use(name, _object(arguments), id) for name, arguments, id in calls]
        self._script(upstream_anthropic.reply(*blocks, **fields))

    def cut(self, *calls: Call) -> None:
        self.calls(*calls, stop_reason="max_tokens")

    def says(self, text: str) -> None:
        self._script(upstream_anthropic.reply(text))

    def _script(self, behaviour: Behaviour) -> None:
        self.server.script(upstream_anthropic.judged(behaviour))


class Gemini:
    model, api, variables = "gemini:gemini-3-flash-preview", None, ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL")

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(Upstream())
        self.url = f"http://127.0.0.1:{self.server.port}"

    def calls(self, *calls: Call, finish: str = "STOP") -> None:
        parts: list[Json] = [
            {"functionCall": {"name": name, "args": _object(arguments), "id": id}} for name, arguments, id in calls
        ]
        parts[0]["thoughtSignature"] = SIGNATURE
        self._script(parts, finish)

    def cut(self, *calls: Call) -> None:
        self.calls(*calls, finish="MAX_TOKENS")

    def says(self, text: str) -> None:
        self._script([{"text": text}], "STOP")

    def _script(self, parts: list[Json], finish: str) -> None:
        async def run(exchange: Exchange) -> None:
            whole = upstream_gemini.generated(*parts, finish=finish)
            if upstream_gemini.streams(exchange.request):
                await upstream_gemini.events(whole)(exchange)
            else:
                exchange.whole(200, json.dumps(whole).encode())

        self.server.script(upstream_gemini.checked(run))


def _object(arguments: Json | str) -> Json:
    """Formats whose arguments are objects have nothing else to say."""
    return {} if isinstance(arguments, str) else arguments


class Xai:
    model, api, variables = "xai:grok-4-1-fast-reasoning", "grpc", ("XAI_API_KEY", "XAI_BASE_URL")

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(upstream_xai.XaiUpstream())
        self.url = f"http://{self.server.host}"

    def calls(self, *calls: Call, finish: str = "REASON_TOOL_CALLS") -> None:
        made = [upstream_xai.call(name, function(name, arguments)["arguments"], id) for name, arguments, id in calls]
        pieces = [upstream_xai.piece(tool_calls=[each]) for each in made]
        self.server.script(upstream_xai.stream(*pieces, upstream_xai.piece(finish=finish)))

    def cut(self, *calls: Call) -> None:
        self.calls(*calls, finish="REASON_MAX_LEN")

    def says(self, text: str) -> None:
        self.server.script(upstream_xai.reply(text))


FORMATS: list[type[Chat | Responses | Anthropic | Gemini | Xai]] = [Chat, Responses, Anthropic, Gemini, Xai]
Provider = Chat | Responses | Anthropic | Gemini | Xai


@pytest.fixture(params=FORMATS, ids=lambda kind: kind.__name__.lower())
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with ExitStack() as stack:
        provider = request.param(stack)
        key, url = provider.variables
        monkeypatch.setenv(key, upstream_xai.KEY)
        monkeypatch.setenv(url, provider.url)
        yield provider


# --- the conversation -------------------------------------------------------------------------------------------------


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@tool
def fall() -> str:
    raise ValueError("the floor is wet")


@tool(timeout_s=0.05)
async def hang() -> str:
    await asyncio.sleep(60)
    return "late"


@tool
def shout() -> str:
    return "ä" * (5 * 1024 * 1024)


@tool
def odd() -> object:
    return {"when": object, 1: float("nan")}


@tool
def quiet() -> str:
    return ""


@tool(approval=True)
def pay(euros: int) -> str:
    return f"paid {euros}"


TOOLS: list[AnyTool] = [add, fall, hang, shout, odd, quiet, pay]
FAULTS: dict[str, list[Call]] = {
    "raises": [("fall", {}, "call_1")],
    "hangs": [("hang", {}, "call_1")],
    "gives 10 MB": [("shout", {}, "call_1")],
    "gives what is not JSON": [("odd", {}, "call_1")],
    "gives nothing": [("quiet", {}, "call_1")],
    "is unknown": [("fly", {"to": "Rome"}, "call_1")],
    "gets wrong arguments": [("add", {"a": "two"}, "call_1")],
    "gets invalid JSON": [("add", '{"a":2,"b"', "call_1")],
    "is called twice": [("add", {"a": 1, "b": 1}, "call_1"), ("add", {"a": 2, "b": 2}, "call_2")],
    "fails beside another": [("fall", {}, "call_1"), ("add", {"a": 2, "b": 2}, "call_2")],
}


def conversation(provider: Provider, folder: Path, **options: Any) -> Conversation:
    store = f"sqlite:///{folder}/chats.db"
    return Conversation(provider.model, api=provider.api, tools=TOOLS, store=store, **options)  # type: ignore[arg-type]


async def ask(chat: Conversation, said: str, stream: bool, **options: Any) -> str:
    if not stream:
        return (await chat.asend(said, **options)).text
    return "".join([event.text async for event in chat.astream(said, **options)])


async def goes_on(chat: Conversation, provider: Provider, *, stream: bool) -> None:
    """The provider takes what follows: from this object, and from one that has only the store."""
    for other in (chat, Conversation(chat.model, api=chat.api, tools=TOOLS, store=chat.store, id=chat.id)):
        provider.says("Still here.")
        assert await ask(other, "And now?", stream) == "Still here."
    turns = await chat.aturns()
    assert all(pending_calls(turn.output) == () for turn in turns)
    assert await chat.store.check() == ()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_a_tool_leaves_a_history_that_is_taken(
    fault: str, stream: bool, provider: Provider, tmp_path: Path
) -> None:
    chat = conversation(provider, tmp_path)
    provider.calls(*FAULTS[fault])
    provider.says("I see.")
    assert await ask(chat, "go", stream) == "I see."
    turn = (await chat.aturns())[-1]
    given = [result for message in turn.output for result in message.tool_results]
    assert [result.name for result in given] == [name for name, _, _ in FAULTS[fault]]
    await goes_on(chat, provider, stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_two_calls_under_one_id_leave_a_history_that_is_taken(
    stream: bool, provider: Provider, tmp_path: Path
) -> None:
    chat = conversation(provider, tmp_path)
    if isinstance(provider, Responses):
        chat.settings = type(chat.settings)(store=False)
    provider.calls(("add", {"a": 1, "b": 1}, "call_1"), ("add", {"a": 1, "b": 1}, "call_1"))
    provider.says("I see.")
    assert await ask(chat, "go", stream) == "I see."
    await goes_on(chat, provider, stream=stream)


async def test_a_name_that_no_tool_can_have_leaves_a_history_that_is_taken(provider: Provider, tmp_path: Path) -> None:
    chat = conversation(provider, tmp_path)
    chat.settings = type(chat.settings)(store=False)
    provider.calls(("fly away!", {}, "call_1"))
    provider.says("I see.")
    assert (await chat.asend("go")).text == "I see."
    await goes_on(chat, provider, stream=False)


async def test_a_model_that_repeats_an_id_is_understood(provider: Provider, tmp_path: Path) -> None:
    chat = conversation(provider, tmp_path)
    if isinstance(provider, Responses):
        chat.settings = type(chat.settings)(store=False)
    for n in range(3):
        provider.calls(("add", {"a": n, "b": 0}, "call_1"))
        provider.calls(("add", {"a": n, "b": 1}, "call_1"))
        provider.says(f"{n + 1}")
        assert await ask(chat, "go", stream=bool(n % 2)) == f"{n + 1}"
    await goes_on(chat, provider, stream=False)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_answer_that_is_cut_in_a_call_leaves_a_history_that_is_taken(
    stream: bool, provider: Provider, tmp_path: Path
) -> None:
    chat = conversation(provider, tmp_path)
    provider.cut(("add", {"a": 1, "b": 1}, "call_1"), ("add", '{"a":', "call_2"))
    await ask(chat, "go", stream)
    turn = (await chat.aturns())[-1]
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "length")
    await goes_on(chat, provider, stream=stream)


async def test_a_model_that_calls_for_ever_leaves_a_history_that_is_taken(provider: Provider, tmp_path: Path) -> None:
    chat = conversation(provider, tmp_path, max_steps=3)
    for n in range(3):
        provider.calls(("add", {"a": n, "b": 0}, f"call_{n}"))
    reply = await chat.asend("go")
    assert (reply.status, reply.turn.reason) == (TurnStatus.INCOMPLETE, "max_steps")
    await goes_on(chat, provider, stream=False)


async def test_a_schema_that_is_never_satisfied_leaves_a_history_that_is_taken(
    provider: Provider, tmp_path: Path
) -> None:
    chat = conversation(provider, tmp_path)
    for _ in range(3):
        provider.says("soup")
    with pytest.raises(OutputInvalid):
        await chat.asend("menu?", output=dict[str, int])
    await goes_on(chat, provider, stream=False)


# --- stopped, paused --------------------------------------------------------------------------------------------------


async def by_its_task(chat: Conversation, begun: asyncio.Event) -> None:
    task = asyncio.ensure_future(chat.asend("go"))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_a_switch(chat: Conversation, begun: asyncio.Event) -> None:
    cancel = Cancel()
    task = asyncio.ensure_future(chat.asend("go", cancel=cancel))
    await asyncio.wait_for(begun.wait(), 10)
    cancel.cancel()
    with pytest.raises(RunCancelled):
        await task


async def by_its_reader(chat: Conversation, begun: asyncio.Event) -> None:
    async with aclosing(chat.astream("go")) as events:
        async for event in events:
            if isinstance(event, ToolCallStarted):
                break


@pytest.mark.parametrize("stop", [by_its_task, by_a_switch, by_its_reader])
async def test_a_run_that_is_stopped_among_its_tools_leaves_a_history_that_is_taken(
    stop: Callable[[Conversation, asyncio.Event], Any], provider: Provider, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        begun.set()
        await asyncio.sleep(60)
        return "late"

    store = f"sqlite:///{tmp_path}/chats.db"
    chat = Conversation(provider.model, api=provider.api, tools=[wait, add], store=store)  # type: ignore[arg-type]
    provider.calls(("wait", {}, "call_1"), ("wait", {}, "call_2"))
    await stop(chat, begun)
    turn = (await chat.aturns())[-1]
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    await goes_on(chat, provider, stream=False)


@pytest.mark.parametrize(
    "decision", [{"approve": True}, {"deny": ["call_2"]}, {"results": {"call_2": "in cash"}}], ids=str
)
async def test_a_paused_run_goes_on_with_a_history_that_is_taken(
    decision: dict[str, Any], provider: Provider, tmp_path: Path
) -> None:
    chat = conversation(provider, tmp_path)
    provider.calls(("add", {"a": 1, "b": 1}, "call_1"), ("pay", {"euros": 5}, "call_2"))
    assert (await chat.asend("pay")).status is TurnStatus.PAUSED
    other = Conversation(chat.model, api=chat.api, tools=TOOLS, store=chat.store, id=chat.id)
    provider.says("Done.")
    assert (await other.aresume(**decision)).text == "Done."
    with pytest.raises(InvalidInput):
        await chat.aresume()
    await goes_on(chat, provider, stream=False)
