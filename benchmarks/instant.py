"""A model server that answers at once: `/v1/chat/completions` over real HTTP, the same 800 characters every time; where
tools are offered, first a call of the one named `weather`.

It runs as a process of its own and does next to nothing for a request, so that what a benchmark measures is the
client. It understands keep-alive, `Content-Length` and chunked bodies, and streams (SSE) when asked to.

    with serve() as base_url:      # "http://127.0.0.1:40123/v1"
        ...

By hand: `python benchmarks/upstream.py --port 9000`.
"""

import argparse
import asyncio
import gc
import http.client
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

REPLY = ("All of this was said before, and it will be said again before the turn is over. " * 10)[:800]
PIECE = 8  # characters in one streamed delta
REPLY_TOKENS = len(REPLY) // 4
USAGE = {"prompt_tokens": "@PROMPT@", "completion_tokens": REPLY_TOKENS, "total_tokens": "@TOTAL@"}


@contextmanager
def serve() -> Iterator[str]:
    """The base URL (ending in `/v1`) of a fresh upstream on a free port; the process ends with the block."""
    command = [sys.executable, str(Path(__file__)), "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def largest_body(base_url: str) -> int:
    """Bytes of the largest request body since this was last asked: whether a client really sent its whole history."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)
    try:
        connection.request("GET", "/seen")
        return int(json.load(connection.getresponse())["largest_body"])
    finally:
        connection.close()


def take_request(buffer: bytearray) -> tuple[bytes, bytes] | None:
    """Cut one request (head in lower case, body) off the front of `buffer`; None, and no cut, until it is all there."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, start = bytes(buffer[:end]).lower(), end + 4
    if b"\r\ntransfer-encoding: chunked" in head:
        whole = take_chunks(buffer, start)
        if whole is None:
            return None
        body, stop = whole
    else:
        _, _, length = head.partition(b"\r\ncontent-length:")
        stop = start + int(length.split(b"\r\n", 1)[0] or 0)
        if len(buffer) < stop:
            return None
        body = bytes(buffer[start:stop])
    del buffer[:stop]
    return head, body


def take_chunks(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    """The chunked body that begins at `start`, and where it stops; None until all of it is there (RFC 9112, 7.1)."""
    pieces: list[bytes] = []
    while (line := buffer.find(b"\r\n", start)) >= 0:
        size = int(buffer[start:line].split(b";")[0], 16)
        start = line + 2 + size + 2
        if len(buffer) < start:
            return None
        if size == 0:
            return b"".join(pieces), start
        pieces.append(bytes(buffer[line + 2 : start - 2]))
    return None


def response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body


def event_stream(body: bytes) -> bytes:
    """`body` as server-sent events in one chunk: like any server that streams, without a length."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return b"%s%x\r\n%s\r\n0\r\n\r\n" % (head, len(body), body)


def completion() -> bytes:
    """A whole chat completion, with gaps for its id and its token counts."""
    choice = {"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}
    return _body({"object": "chat.completion", "choices": [choice], "usage": USAGE})


def tool_call() -> bytes:
    """A whole chat completion that calls a tool."""
    function = {"name": "weather", "arguments": '{"city":"Lima"}'}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_@ID@", "type": "function", "function": function}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return _body({"object": "chat.completion", "choices": [choice], "usage": USAGE})


def stream() -> bytes:
    """The deltas of the same completion, without usage and `[DONE]`."""
    pieces = [{"content": REPLY[at : at + PIECE]} for at in range(0, len(REPLY), PIECE)]
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [*((piece, None) for piece in pieces), ({}, "stop")]
    return b"".join(
        _event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) for delta, reason in deltas
    )


def _event(fields: dict[str, object]) -> bytes:
    return b"data: " + _body({"object": "chat.completion.chunk", **fields}) + b"\n\n"


def _body(fields: dict[str, object]) -> bytes:
    text = json.dumps({"id": "@ID@", "created": 1760000000, "model": "bench-model", **fields}, separators=(",", ":"))
    return text.replace('"@PROMPT@"', "@PROMPT@").replace('"@TOTAL@"', "@TOTAL@").encode()


class Upstream(asyncio.Protocol):
    """One connection. Answers are made once, at import, and only their id and token count filled in."""

    COMPLETION = completion()
    TOOL_CALL = tool_call()
    STREAM = stream()
    STREAM_USAGE = _event({"choices": [], "usage": USAGE})
    ids = itertools.count(1)
    largest = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (request := take_request(self.buffer)) is not None:
            head, body = request
            self.transport.write(self.answer(head, body))
            if b"\r\nconnection: close" in head:
                self.transport.close()

    def answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"post /v1/chat/completions "):
            Upstream.largest = max(Upstream.largest, len(body))
            return self.complete(body)
        if head.startswith(b"get /seen "):
            seen, Upstream.largest = Upstream.largest, 0
            return response(b'{"largest_body":%d}' % seen)
        return response(b'{"error":{"message":"only POST /v1/chat/completions"}}', status=b"404 Not Found")

    def complete(self, body: bytes) -> bytes:
        """The answer to a chat completion. A flag is found as bytes: in a JSON string its quotes would be escaped."""
        if not _flag(body, b"stream"):
            answer = self.TOOL_CALL if b'"tools":' in body and not _answered(body) else self.COMPLETION
            return response(self.fill(answer, body))
        usage = self.STREAM_USAGE if _flag(body, b"include_usage") else b""
        return event_stream(self.fill(self.STREAM + usage, body) + b"data: [DONE]\n\n")

    def fill(self, answer: bytes, body: bytes) -> bytes:
        """`answer` with an id of its own and, at four bytes a token, the usage of a request with this `body`."""
        prompt = len(body) // 4
        answer = answer.replace(b"@ID@", b"chatcmpl-%d" % next(self.ids))
        return answer.replace(b"@PROMPT@", b"%d" % prompt).replace(b"@TOTAL@", b"%d" % (prompt + REPLY_TOKENS))


def _answered(body: bytes) -> bool:
    """Whether a tool has answered already."""
    return b'"role":"tool"' in body or b'"role": "tool"' in body


def _flag(body: bytes, name: bytes) -> bool:
    return b'"%s":true' % name in body or b'"%s": true' % name in body


async def _main(port: int, exit_with_stdin: bool) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(Upstream, "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    if exit_with_stdin:
        loop.add_reader(sys.stdin, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat completions server with one answer, given at once.")
    parser.add_argument(
        "--port", type=int, default=0, help="where to listen (default: a free port; the URL is printed)"
    )
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when standard input closes (for serve)")
    options = parser.parse_args()
    gc.disable()  # requests leave no cycles behind, and a collection would show up as a client's wait
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.port, options.exit_with_stdin))
