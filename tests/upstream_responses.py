"""Two servers of the Responses API, behind the sockets of `upstream.Upstream`.

`Provider` answers as OpenAI does, in words written by hand and with no code of ours, for our client to be tested on:

    with ResponsesUpstream(provider := Provider()) as upstream:
        provider.says(message("Hello"))        # the next answer; without any, it echoes the last words that it read
        provider.forget()                      # every earlier response is lost
        assert provider.contexts[-1] == [...]  # all items that the model behind it would have read, however they came

It keeps its responses by id, so `previous_response_id` is honoured, or answered with `previous_response_not_found`.

`Server` is our own server's side: requests decoded, and responses, streams and errors encoded by the format, with the
history kept as messages. The official SDKs are its clients.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from multiturn.deltas import Answer, Delta, fold
from multiturn.errors import NotFound
from multiturn.formats import responses
from multiturn.formats.responses import Echo
from multiturn.ids import new_id
from multiturn.messages import Message, Origin, Usage
from upstream import Behaviour, Exchange, Upstream, status

Json: TypeAlias = dict[str, Any]
CREATED = 1_760_000_000
USAGE: Json = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 15,
}
LOST = {
    "message": "Previous response with id '{}' not found.",
    "type": "invalid_request_error",
    "param": "previous_response_id",
    "code": "previous_response_not_found",
}
_numbers = itertools.count(1)


class ResponsesUpstream(Upstream):
    """An upstream whose requests all go to one behaviour, but for those that are scripted."""

    def __init__(self, otherwise: Behaviour) -> None:
        super().__init__()
        self._otherwise = otherwise

    def next_behaviour(self) -> Behaviour:
        return self._script.popleft() if self._script else self._otherwise


# --- items as OpenAI writes them ------------------------------------------------------------------------------------


def message(*contents: str | Json, id: str | None = None, **fields: Any) -> Json:
    """A message of these texts."""
    made = [
        {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
        if isinstance(content, str)
        else content
        for content in contents
    ]
    id = id or f"msg_{next(_numbers)}"
    return {"id": id, "type": "message", "status": "completed", "content": made, "role": "assistant", **fields}


def reasoning(*summary: str, encrypted: str | None = None, id: str | None = None, text: str | None = None) -> Json:
    item: Json = {"id": id or f"rs_{next(_numbers)}", "type": "reasoning"}
    item["summary"] = [{"type": "summary_text", "text": each} for each in summary]
    if text is not None:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    return item if encrypted is None else {**item, "encrypted_content": encrypted}


def call(name: str, arguments: Json, *, call_id: str = "call_1", **fields: Any) -> Json:
    item = {"id": f"fc_{next(_numbers)}", "type": "function_call", "status": "completed"}
    return {**item, "arguments": json.dumps(arguments), "call_id": call_id, "name": name, **fields}


def custom_call(name: str, input: str, *, call_id: str = "call_1", **fields: Any) -> Json:
    item = {"id": f"ctc_{next(_numbers)}", "type": "custom_tool_call", "status": "completed"}
    return {**item, "call_id": call_id, "input": input, "name": name, **fields}


def search() -> Json:
    """An item of a hosted tool."""
    action = {"type": "search", "query": "weather", "sources": None}
    return {"id": f"ws_{next(_numbers)}", "type": "web_search_call", "status": "completed", "action": action}


def response(output: Sequence[Json], **fields: Any) -> Json:
    """A whole response; `fields` take the place of its own."""
    return {
        "id": f"resp_{next(_numbers)}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": USAGE,
        "metadata": {},
        **fields,
    }


# --- its stream -----------------------------------------------------------------------------------------------------


def events_of(whole: Json, *, size: int = 4) -> list[Json]:
    """The events in which OpenAI streams this response, its texts in pieces of `size` characters."""
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for index, item in enumerate(whole["output"]):
        events += _item_events(index, item, size)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [{"sequence_number": number, **event} for number, event in enumerate(events)]


def _item_events(index: int, item: Json, size: int) -> list[Json]:
    place = {"item_id": item["id"], "output_index": index}
    empty: Json = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    begun = {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    events: list[Json] = [{"type": "response.output_item.added", "output_index": index, "item": begun}]
    for nth, part in enumerate(item.get("summary", ())):
        where = {**place, "summary_index": nth}
        events += _text_events("reasoning_summary_part", "reasoning_summary_text", where, part, "text", size)
    for nth, part in enumerate(item.get("content", ())):
        name = part["type"]
        field = "refusal" if name == "refusal" else "text"
        events += _text_events("content_part", name, {**place, "content_index": nth}, part, field, size)
    if item["type"] == "function_call":
        events += _pieces("function_call_arguments", place, "arguments", item["arguments"], size)
    if item["type"] == "custom_tool_call":
        events += _pieces("custom_tool_call_input", place, "input", item["input"], size)
    return [*events, {"type": "response.output_item.done", "output_index": index, "item": item}]


def _text_events(part_name: str, name: str, where: Json, part: Json, field: str, size: int) -> list[Json]:
    added = {"type": f"response.{part_name}.added", **where, "part": {**part, field: ""}}
    done = {"type": f"response.{part_name}.done", **where, "part": part}
    return [added, *_pieces(name, where, field, part[field], size), done]


def _pieces(name: str, where: Json, field: str, text: str, size: int) -> list[Json]:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas = [{"type": f"response.{name}.delta", **where, "delta": piece, "obfuscation": "x"} for piece in pieces]
    return [*deltas, {"type": f"response.{name}.done", **where, field: text}]


def sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def stream_of(whole: Json, *, size: int = 4) -> bytes:
    return b"".join(map(sse, events_of(whole, size=size)))


def replies(whole: Json) -> Behaviour:
    """This response, streamed or whole, as the request wishes."""

    async def run(exchange: Exchange) -> None:
        if exchange.request.streams:
            exchange.begin_stream()
            await exchange.events([sse(event) for event in events_of(whole)])
            exchange.chunk(b"")
        else:
            exchange.whole(200, json.dumps(whole).encode())

    return run


# --- a provider with state ------------------------------------------------------------------------------------------


class Provider:
    """OpenAI as far as conversation state goes."""

    def __init__(self) -> None:
        self.contexts: list[list[Json]] = []
        """For each request that was answered, the items that the model read."""
        self._next: deque[list[Json]] = deque()
        self._kept: dict[str, list[Json]] = {}

    def says(self, *items: Json) -> None:
        """The output of the next answer that is not given yet."""
        self._next.append(list(items))

    def forget(self) -> None:
        self._kept.clear()

    async def __call__(self, exchange: Exchange) -> None:
        asked = exchange.request.json
        previous = asked.get("previous_response_id")
        if previous is not None and previous not in self._kept:
            error = {**LOST, "message": LOST["message"].format(previous)}
            await status(400, {"error": error})(exchange)
            return
        context = [*(self._kept[previous] if previous else ()), *asked["input"]]
        self.contexts.append(context)
        output = self._next.popleft() if self._next else [message(f"You said: {_last_words(context)}")]
        whole = response(output, previous_response_id=previous, model=asked["model"])
        if asked.get("store") is not False:
            self._kept[whole["id"]] = [*context, *output]
        await replies(whole)(exchange)


def _last_words(context: Sequence[Json]) -> str:
    content = context[-1].get("content") or context[-1].get("output") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


# --- our server -----------------------------------------------------------------------------------------------------


class Server:
    """Our server's side of the format. `answer` is the model: it is given all messages, and what it says is streamed
    delta by delta, and folded."""

    def __init__(self, answer: Callable[[list[Message]], list[Delta]]) -> None:
        self._answer = answer
        self._kept: dict[str, tuple[list[Message], Message, Echo]] = {}

    def forget(self) -> None:
        self._kept.clear()

    async def __call__(self, exchange: Exchange) -> None:
        try:
            await (self._retrieve if exchange.request.method == "GET" else self._create)(exchange)
        except Exception as error:
            code, body = responses.encode_error(error)
            exchange.whole(code, body)

    async def _create(self, exchange: Exchange) -> None:
        asked = responses.decode_request(exchange.request.body, provider="tests")
        history = [*self._history(asked.previous_response_id), *asked.messages]
        deltas, id = self._answer(history), new_id("resp")
        said = fold(deltas, origin=Origin("tests", "tiny", "responses"))
        answer = Answer(_ended(said))
        if asked.store is not False:
            self._kept[id] = ([*history], answer.message, asked.echo)
        if not asked.stream:
            body = responses.encode_reply(answer, asked.echo, id=id, created=CREATED, model="tiny")
            exchange.whole(200, body)
            return
        encoder = responses.StreamEncoder(asked.echo, id=id, created=CREATED, model="tiny")
        exchange.begin_stream()
        await exchange.events([encoder.begin(), *map(encoder.encode, deltas), encoder.finish(answer)])
        exchange.chunk(b"")

    async def _retrieve(self, exchange: Exchange) -> None:
        id, _, rest = exchange.request.path.removeprefix("/v1/responses/").partition("/")
        if id not in self._kept:
            raise NotFound("response", id)
        history, said, echo = self._kept[id]
        if rest.startswith("input_items"):
            items = responses.encode_items(history, response_id=id, side="input")
            body = b'{"object":"list","data":[%s],"has_more":false}' % b",".join(items)
            exchange.whole(200, body)
        else:
            exchange.whole(200, responses.encode_response([said], echo, id=id, created=CREATED, model="tiny"))

    def _history(self, previous: str | None) -> list[Message]:
        if previous is None:
            return []
        if previous not in self._kept:
            raise NotFound("previous response", previous)
        history, said, _ = self._kept[previous]
        return [*history, said]


def _ended(said: Message) -> Message:
    usage = Usage(input_tokens=12, output_tokens=3, cached_tokens=4, reasoning_tokens=1)
    return Message(
        "assistant",
        said.parts,
        origin=said.origin,
        usage=usage,
        finish_reason="tool_calls" if said.tool_calls else "stop",
    )
