"""xAI's chat service, following a script: a real gRPC server on a real port, with the messages of `xai_sdk.proto`.

    with XaiUpstream() as upstream:
        upstream.script(fail("UNAVAILABLE"), reply("Hello"))    # the first call fails, the second is answered
        ...                                                     # a client of upstream.host, "localhost:PORT"
        assert upstream.requests[1].proto.model == "grok"

A request with no script left is answered with an echo of its last message. What is asked for with `store_messages` is
kept under the response's id until `forget()`, and a request that goes on from it has all of it as its context. Requests
are refused as api.x.ai refuses them: a wrong key, no message, a message without content, a name on another than a
user's message, a tool's result without its call, an unknown id. The official client can drive it as well.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from types import TracebackType
from typing import Any, TypeAlias

import grpc
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, usage_pb2

KEY = "xai-very-secret-key"
Proto: TypeAlias = Any
USAGE = usage_pb2.SamplingUsage(
    prompt_tokens=12,
    completion_tokens=3,
    total_tokens=20,
    reasoning_tokens=5,
    cached_prompt_text_tokens=4,
    cost_in_usd_ticks=25_000_000,
)


class Received:
    """One request, as it came."""

    def __init__(self, method: str, proto: Proto, metadata: dict[str, str]) -> None:
        self.method = method
        self.proto = proto
        self.metadata = metadata

    @property
    def size(self) -> int:
        """Bytes on the wire, without gRPC's five of framing."""
        return int(self.proto.ByteSize())

    @property
    def said(self) -> list[tuple[str, str]]:
        """The messages that it brings, as (role, text)."""
        return [(_role(message), _text(message)) for message in self.proto.messages]


def _role(message: Proto) -> str:
    name: str = chat_pb2.MessageRole.Name(message.role)
    return name.removeprefix("ROLE_").lower()


def _text(message: Proto) -> str:
    return "".join(content.text for content in message.content)


class Exchange:
    """One call: the request, the whole conversation that it makes with what is kept, and the way to answer."""

    def __init__(self, received: Received, context: list[Proto], call: grpc.ServicerContext, id: str) -> None:
        self.received = received
        self.context = context
        self.call = call
        self.id = id

    def wait_for_the_client(self) -> None:
        """Silence, until the client hangs up."""
        gone = threading.Event()
        if self.call.add_callback(gone.set):
            gone.wait(10)

    def chunk(self, *pieces: Proto, **fields: Any) -> Proto:
        model = self.received.proto.model
        return chat_pb2.GetChatCompletionChunk(id=self.id, model=model, outputs=pieces, **fields)


Behaviour: TypeAlias = Callable[[Exchange], Iterator[Proto]]
"""The chunks of one answer. A call that wants it whole gets what they make together."""


# --- answers --------------------------------------------------------------------------------------------------------


def piece(index: int = 0, finish: str = "REASON_INVALID", role: str = "ROLE_ASSISTANT", **said: Any) -> Proto:
    """A piece of one output."""
    delta = chat_pb2.Delta(role=role, **said)
    return chat_pb2.CompletionOutputChunk(index=index, delta=delta, finish_reason=finish)


def stream(*pieces: Proto, delay_s: float = 0.0, **last: Any) -> Behaviour:
    """These pieces, a chunk each, and a last chunk with the usage; `last` has more fields of it."""

    def run(exchange: Exchange) -> Iterator[Proto]:
        for each in pieces:
            yield exchange.chunk(each)
            time.sleep(delay_s)
        yield exchange.chunk(usage=USAGE, **last)

    return run


def reply(text: str = "Hello there.", *, finish: str = "REASON_STOP", delay_s: float = 0.0, **last: Any) -> Behaviour:
    """An answer, word by word."""
    words = [word + " " for word in text.split(" ")]
    said = [piece(content=word) for word in [*words[:-1], words[-1].removesuffix(" ")]] if text else []
    return stream(*said, piece(finish=finish), delay_s=delay_s, **last)


def call(name: str, arguments: str, id: str = "call_1", type: str = "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL") -> Proto:
    function = chat_pb2.FunctionCall(name=name, arguments=arguments)
    return chat_pb2.ToolCall(id=id, type=type, status="TOOL_CALL_STATUS_COMPLETED", function=function)


def tool_call(name: str, arguments: str, *, id: str = "call_1") -> Behaviour:
    return stream(piece(tool_calls=[call(name, arguments, id)]), piece(finish="REASON_TOOL_CALLS"))


def thinking(thought: str, text: str, encrypted: str = "gAAA-sealed") -> Behaviour:
    """Visible thinking, an answer, and, if it is asked for, the thinking as only xAI can read it."""

    def run(exchange: Exchange) -> Iterator[Proto]:
        sealed = encrypted if exchange.received.proto.use_encrypted_content else ""
        pieces = [piece(reasoning_content=word) for word in thought.split()]
        ending = piece(finish="REASON_STOP", encrypted_content=sealed)
        yield from stream(*pieces, piece(content=text), ending)(exchange)

    return run


def searching(query: str, found: str, text: str) -> Behaviour:
    """An answer in three outputs: a search, what it found, and the words that rest on it."""
    search = call("web_search", f'{{"query":"{query}"}}', "ws_1", "TOOL_CALL_TYPE_WEB_SEARCH_TOOL")
    citation = chat_pb2.InlineCitation(
        id="1", start_index=0, end_index=len(text), web_citation=chat_pb2.WebCitation(url="https://example.com/a")
    )
    return stream(
        piece(0, reasoning_content="I must search.", tool_calls=[search]),
        piece(1, role="ROLE_TOOL", content=found, tool_calls=[search]),
        piece(2, content=text[:4]),
        piece(2, content=text[4:], citations=[citation]),
        piece(2, finish="REASON_STOP"),
        citations=["https://example.com/a", "https://example.com/b"],
    )


def choices(*texts: str) -> Behaviour:
    """Several answers at once."""
    return stream(*(piece(n, "REASON_STOP", content=text) for n, text in enumerate(texts)))


def echo() -> Behaviour:
    def run(exchange: Exchange) -> Iterator[Proto]:
        said = _text(exchange.context[-1])
        yield from reply(f"You said: {said}. That is message {len(exchange.context)}.")(exchange)

    return run


# --- faults ---------------------------------------------------------------------------------------------------------


def fail(code: str, details: str = "", *, after: int = 0, **metadata: str) -> Behaviour:
    """This status, after so many words of an answer; `metadata` names have `_` for `-`."""

    def run(exchange: Exchange) -> Iterator[Proto]:
        for n in range(after):
            yield exchange.chunk(piece(content=f"word{n} "))
        exchange.call.set_trailing_metadata([(name.replace("_", "-"), value) for name, value in metadata.items()])
        exchange.call.abort(grpc.StatusCode[code], details)

    return run


def hang(*texts: str, finish: str = "REASON_INVALID") -> Behaviour:
    """These pieces of an answer, then silence until the client hangs up."""

    def run(exchange: Exchange) -> Iterator[Proto]:
        for text in texts:
            yield exchange.chunk(piece(content=text))
        if finish != "REASON_INVALID":
            yield exchange.chunk(piece(finish=finish))
        exchange.wait_for_the_client()

    return run


# --- the server -----------------------------------------------------------------------------------------------------


class XaiUpstream:
    """The server, for the length of a `with` block. `port=0` takes a free one."""

    def __init__(self, *, port: int = 0) -> None:
        self.requests: list[Received] = []
        self.hung_up = 0  # how often a client ended a call before its answer had ended
        self.kept: dict[str, list[Proto]] = {}  # what was said up to and with each response
        self._script: deque[Behaviour] = deque()
        self._ids = itertools.count(1)
        self._server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        chat_pb2_grpc.add_ChatServicer_to_server(_Chat(self), self._server)
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def script(self, *behaviours: Behaviour) -> None:
        """What to do with the next requests, in this order, after what was scripted before."""
        self._script.extend(behaviours)

    def forget(self) -> None:
        """Lose everything that is kept."""
        self.kept.clear()

    def stop(self) -> None:
        """Die, and hang up on everybody."""
        self._server.stop(None).wait(5)

    async def until(self, condition: Callable[[], bool], within_s: float = 3.0) -> bool:
        """Whether `condition` comes true in that time, while the event loop goes on."""
        end = time.monotonic() + within_s
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(0.005)
        return condition()

    def __enter__(self) -> XaiUpstream:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, method: str, request: Proto, call: grpc.ServicerContext) -> Iterator[Proto]:
        metadata = {name: value for name, value in call.invocation_metadata() if isinstance(value, str)}
        received = Received(method, request, metadata)
        self.requests.append(received)
        self._check_key(metadata.get("authorization", ""), call)
        context = self._context(request, call)
        _check(context, call)
        exchange = Exchange(received, context, call, f"resp_{next(self._ids)}")
        ended = threading.Event()
        call.add_callback(lambda: None if ended.is_set() else self._note_hang_up())
        whole = chat_pb2.GetChatCompletionResponse()
        try:
            for chunk in (self._script.popleft() if self._script else echo())(exchange):
                _merge(whole, chunk)
                yield chunk
        finally:
            if call.is_active():
                ended.set()
        if request.store_messages:
            self.kept[exchange.id] = [*context, *map(_as_message, whole.outputs)]

    def _note_hang_up(self) -> None:
        self.hung_up += 1

    def _check_key(self, authorization: str, call: grpc.ServicerContext) -> None:
        if authorization != f"Bearer {KEY}":
            key = authorization.removeprefix("Bearer ")
            call.abort(grpc.StatusCode.UNAUTHENTICATED, f"Incorrect API key provided: {key}.")

    def _context(self, request: Proto, call: grpc.ServicerContext) -> list[Proto]:
        if not request.messages:
            call.abort(grpc.StatusCode.INVALID_ARGUMENT, "Messages cannot be empty.")
        previous = request.previous_response_id
        if previous and previous not in self.kept:
            call.abort(grpc.StatusCode.NOT_FOUND, f"Response with id={previous} not found")
        return [*self.kept.get(previous, []), *request.messages]


def _check(messages: list[Proto], call: grpc.ServicerContext) -> None:
    """Refuse what api.x.ai refuses."""
    calls: set[str] = set()
    for message in messages:
        problem = ""
        if not message.content:
            problem = "Invalid request content: Each message must have at least one content element."
        if message.name and message.role != chat_pb2.ROLE_USER:
            problem = "The name can only be set if the role is ROLE_USER."
        if message.role == chat_pb2.ROLE_TOOL and message.tool_call_id not in calls:
            problem = f"No tool call with id {message.tool_call_id!r} before its result."
        if problem:
            call.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        calls |= {each.id for each in message.tool_calls}


def _merge(whole: Proto, chunk: Proto) -> None:
    """Add a chunk to a whole reply, as the SDK's `process_chunk` does."""
    whole.id, whole.model = chunk.id, chunk.model
    whole.citations.extend(chunk.citations)
    whole.output_files.extend(chunk.output_files)
    if chunk.HasField("usage"):
        whole.usage.CopyFrom(chunk.usage)
    for part in chunk.outputs:
        while len(whole.outputs) <= part.index:
            whole.outputs.add(index=len(whole.outputs))
        output, said = whole.outputs[part.index], part.delta
        output.finish_reason = part.finish_reason or output.finish_reason
        output.message.role = said.role
        output.message.content += said.content
        output.message.reasoning_content += said.reasoning_content
        output.message.encrypted_content += said.encrypted_content
        output.message.tool_calls.extend(said.tool_calls)
        output.message.citations.extend(said.citations)


def _as_message(output: Proto) -> Proto:
    said = output.message
    id = said.tool_calls[0].id if said.role == chat_pb2.ROLE_TOOL and said.tool_calls else None
    content = [chat_pb2.Content(text=said.content)]
    return chat_pb2.Message(role=said.role, content=content, tool_calls=said.tool_calls, tool_call_id=id)


class _Chat(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]  # it has no types
    def __init__(self, upstream: XaiUpstream) -> None:
        self._upstream = upstream

    def GetCompletion(self, request: Proto, context: grpc.ServicerContext) -> Proto:
        whole = chat_pb2.GetChatCompletionResponse()
        for chunk in self._upstream.answer("GetCompletion", request, context):
            _merge(whole, chunk)
        return whole

    def GetCompletionChunk(self, request: Proto, context: grpc.ServicerContext) -> Iterator[Proto]:
        yield from self._upstream.answer("GetCompletionChunk", request, context)
