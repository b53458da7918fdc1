"""A model server that follows a script, over real HTTP on a real socket: `/v1/chat/completions`, and every fault.

    with Upstream() as upstream:
        upstream.script(status(500), reply("Hello"))      # the first request fails, the second is answered
        ...                                               # a client of http://127.0.0.1:PORT/v1, that is upstream.url
        assert upstream.requests[1].json["model"] == "tiny"

A request with no script left is answered with an echo of its last message. The server runs in a thread of its own, so
it serves sync and async tests and other processes alike; `script`, `requests` and the counts may be used from any
thread. Most behaviours stream when the request asks for it and answer with JSON when it does not.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
USAGE: Json = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


class Received:
    """One request, as it came. Header names are in lower case."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body

    @property
    def json(self) -> Json:
        fields: Json = json.loads(self.body)
        return fields

    @property
    def streams(self) -> bool:
        return self.json.get("stream") is True

    @property
    def last_text(self) -> str:
        content = self.json["messages"][-1].get("content") or ""
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Exchange:
    """One request and the connection to answer it on."""

    def __init__(self, request: Received, transport: asyncio.Transport) -> None:
        self.request = request
        self.transport = transport

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def whole(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A complete answer with `Content-Length`."""
        fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        self.send(_head(code, fields) + body)

    def begin_stream(self) -> None:
        self.send(_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))

    def chunk(self, data: bytes) -> None:
        """One chunk; the empty one is the last (RFC 9112, section 7.1)."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def events(self, events: Sequence[bytes], delay_s: float = 0.0) -> None:
        for event in events:
            self.chunk(event)
            await asyncio.sleep(delay_s)


def _head(code: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} Status", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


Behaviour: TypeAlias = Callable[[Exchange], Awaitable[None]]


# --- answers --------------------------------------------------------------------------------------------------------


def reply(text: str = "Hello there.", *, streams: bool | None = None, delay_s: float = 0.0, **fields: Any) -> Behaviour:
    """An answer, streamed word by word or whole, as the request wishes or as `streams` says. `fields` go into the
    message, or into the answer itself where it has them: `finish_reason`, `usage`, `model`."""
    words = [word + " " for word in text.split(" ")]
    pieces = [*words[:-1], words[-1].removesuffix(" ")] if text else []
    return _answer([{"content": piece} for piece in pieces], {"content": text}, streams, delay_s, fields)


def stream(*texts: str, delay_s: float = 0.0, **fields: Any) -> Behaviour:
    """An answer streamed in these pieces, `delay_s` after each."""
    return _answer([{"content": text} for text in texts], {"content": "".join(texts)}, True, delay_s, fields)


def tool_call(name: str, arguments: Json, *, call_id: str = "call_1", **fields: Any) -> Behaviour:
    """An answer that is one call of a tool; streamed with its arguments in two pieces."""
    text = json.dumps(arguments)
    half = len(text) // 2
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
    start = {"index": 0, **call, "function": {"name": name, "arguments": text[:half]}}
    deltas = [{"tool_calls": [start]}, {"tool_calls": [{"index": 0, "function": {"arguments": text[half:]}}]}]
    return _answer(
        deltas, {"content": None, "tool_calls": [call]}, None, 0.0, {"finish_reason": "tool_calls", **fields}
    )


def empty_answer() -> Behaviour:
    """An answer without a word."""
    return reply("")


def echo() -> Behaviour:
    async def run(exchange: Exchange) -> None:
        await reply(f"You said: {exchange.request.last_text}")(exchange)

    return run


def _answer(deltas: list[Json], message: Json, streams: bool | None, delay_s: float, fields: Json) -> Behaviour:
    async def run(exchange: Exchange) -> None:
        if streams if streams is not None else exchange.request.streams:
            exchange.begin_stream()
            await exchange.events(chat_events(exchange.request, deltas, fields), delay_s)
            exchange.chunk(b"")
        else:
            await asyncio.sleep(delay_s)
            exchange.whole(200, json.dumps(chat_reply(exchange.request, message, fields)).encode())

    return run


def chat_reply(request: Received, message: Json, fields: Json) -> Json:
    outer, inner = _split(request, fields)
    choice = {
        "index": 0,
        "message": {"role": "assistant", **message, **inner},
        "finish_reason": fields.get("finish_reason", "stop"),
    }
    return {**outer, "object": "chat.completion", "choices": [choice], "usage": fields.get("usage", USAGE)}


def chat_events(request: Received, deltas: list[Json], fields: Json) -> list[bytes]:
    """The events of a streamed answer: the role, the deltas, the end, the usage if asked for, `[DONE]`."""
    outer, inner = _split(request, fields)
    outer["object"] = "chat.completion.chunk"
    choices: list[Json] = [{"delta": delta} for delta in ({"role": "assistant", "content": "", **inner}, *deltas)]
    choices.append({"delta": {}, "finish_reason": fields.get("finish_reason", "stop")})
    events = [sse({**outer, "choices": [{"index": 0, "finish_reason": None, **choice}]}) for choice in choices]
    if (request.json.get("stream_options") or {}).get("include_usage"):
        events.append(sse({**outer, "choices": [], "usage": fields.get("usage", USAGE)}))
    return [*events, b"data: [DONE]\n\n"]


def _split(request: Received, fields: Json) -> tuple[Json, Json]:
    """What goes into the answer itself, and which of `fields` go into its message."""
    outer = {"id": "chatcmpl-1", "model": fields.get("model", request.json.get("model"))}
    return outer, {name: fields[name] for name in fields.keys() - {"finish_reason", "usage", "model"}}


def sse(fields: Json) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


# --- faults ---------------------------------------------------------------------------------------------------------


def status(code: int, body: Json | bytes | None = None, headers: Mapping[str, str] | None = None) -> Behaviour:
    """An answer with this status; the body is an error as OpenAI words it, unless given."""
    fields = {"error": {"message": f"the script says {code}", "type": "scripted", "param": None, "code": None}}
    data = body if isinstance(body, bytes) else json.dumps(fields if body is None else body).encode()

    async def run(exchange: Exchange) -> None:
        exchange.whole(code, data, headers)

    return run


def context_overflow() -> Behaviour:
    message = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
        "Please reduce the length of the messages."
    )
    code = {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return status(400, {"error": {"message": message, **code}})


def invalid_json() -> Behaviour:
    return status(200, b'{"id": "chatcmpl-1", "choices": [')


def hang() -> Behaviour:
    """No answer at all, until the client hangs up."""
    return hang_after(None)


def hang_after(n_events: int | None, *texts: str) -> Behaviour:
    """This many events of a stream (None: not even its status), then silence until the client hangs up."""

    async def run(exchange: Exchange) -> None:
        await _begin(exchange, n_events, texts)
        await asyncio.Event().wait()

    return run


def cut_after(n_events: int, *texts: str, reset: bool = False) -> Behaviour:
    """This many events of a stream, then the connection is closed (or reset) before the body has ended."""

    async def run(exchange: Exchange) -> None:
        await _begin(exchange, n_events, texts)
        await asyncio.sleep(0.02)  # a reset would overtake what was written
        exchange.transport.abort() if reset else exchange.transport.close()

    return run


def drop() -> Behaviour:
    """The connection is closed without an answer."""
    return raw(b"")


async def _begin(exchange: Exchange, n_events: int | None, texts: Sequence[str]) -> None:
    if n_events is not None:
        exchange.begin_stream()
        deltas = [{"content": text} for text in texts or ("one ", "two ", "three ", "four")]
        await exchange.events(chat_events(exchange.request, deltas, {})[:n_events])


def sse_raw(*pieces: bytes, delay_s: float = 0.0) -> Behaviour:
    """A stream of exactly these pieces, a chunk each, ended as HTTP says."""

    async def run(exchange: Exchange) -> None:
        exchange.begin_stream()
        await exchange.events(pieces, delay_s)
        exchange.chunk(b"")

    return run


def raw(data: bytes, *, then_close: bool = True) -> Behaviour:
    """Exactly these bytes on the socket, status line and all."""

    async def run(exchange: Exchange) -> None:
        exchange.send(data)
        if then_close:
            exchange.transport.close()

    return run


# --- the server -----------------------------------------------------------------------------------------------------


class Upstream:
    """The server, for the length of a `with` block. `port=0` takes a free one."""

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        self.requests: list[Received] = []
        self.open_connections = 0
        self.accepted = 0  # connections so far
        self.hung_up = 0  # how often a client closed the connection before its answer had ended
        self.otherwise = echo()
        """What to do with a request when no script is left."""
        self._script: deque[Behaviour] = deque()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """What to do with the next requests, in this order, after what was scripted before."""
        self._script.extend(behaviours)

    def wait(self, condition: Callable[[], bool], within_s: float = 3.0) -> bool:
        """Whether `condition` comes true in that time. Blocks; in a coroutine use `until`."""
        end = time.monotonic() + within_s
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        return condition()

    async def until(self, condition: Callable[[], bool], within_s: float = 3.0) -> bool:
        """As `wait`, while the event loop goes on."""
        end = time.monotonic() + within_s
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(0.005)
        return condition()

    def __enter__(self) -> Upstream:
        self._thread.start()
        assert self._ready.wait(5), "the upstream did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.connections: set[_Connection] = set()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # their `connection_lost`

    def next_behaviour(self) -> Behaviour:
        return self._script.popleft() if self._script else self.otherwise


class _Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after another."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.buffer = bytearray()
        self.running: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.upstream.connections.add(self)
        self.upstream.open_connections += 1
        self.upstream.accepted += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.buffer.startswith(b"\x16"):  # a TLS hello
            self.transport.write(_head(400, {"connection": "close"}))
            self.transport.close()
        elif request := self._take():
            self.upstream.requests.append(request)
            self.running = asyncio.create_task(self._answer(request))

    def connection_lost(self, error: Exception | None) -> None:
        self.upstream.connections.discard(self)
        self.upstream.open_connections -= 1
        if self.running and not self.running.done():
            self.upstream.hung_up += 1
            self.running.cancel()

    async def _answer(self, request: Received) -> None:
        await self.upstream.next_behaviour()(Exchange(request, self.transport))

    def _take(self) -> Received | None:
        """Cut one request off the buffer, once it is all there."""
        head, found, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if not found:
            return None
        request = Received(head, rest)
        length = int(request.headers.get("content-length", 0))
        if len(rest) < length:
            return None
        del self.buffer[: len(head) + 4 + length]
        return Received(head, rest[:length])
