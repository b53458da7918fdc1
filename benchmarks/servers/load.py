"""Asks a server over raw sockets, for next to no CPU of its own: in `benchmarks/`,

    python -m servers.load hammer responses|streams|chat PORT SECONDS
    python -m servers.load chain PORT TURNS [PREVIOUS]

and prints JSON. An answer that is not the one expected ends it.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from itertools import count, cycle
from typing import Any

import words
from servers.answers import EVENTS

CONNECTIONS = 16
_QUESTIONS = 2_000
LAST_CHUNK = b"\r\n0\r\n\r\n"
_COMPLETED = b'"status":"completed"'


def request(path: str, **body: Any) -> bytes:
    """An HTTP/1.1 request of JSON."""
    data = json.dumps({"model": "gpt-5-mini"} | body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return b"%sauthorization: Bearer sk-none\r\ncontent-length: %d\r\n\r\n%s" % (head.encode(), len(data), data)


class Connection:
    """A kept-alive connection, on which one answer at a time is read."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole: int | None = None

    def send(self, data: bytes) -> None:
        self._pieces, self._size, self._whole = [], 0, None
        self.socket.sendall(data)

    def receive(self) -> bytes | None:
        """The whole answer, once it is there. Waits for something to come."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise SystemExit(f"the server hung up: {b''.join(self._pieces)[-1000:]!r}")
        self._pieces.append(data)
        self._size += len(data)
        if self._whole is None:
            self._whole = _length(b"".join(self._pieces))
        if self._whole is None or self._size < self._whole:
            return None
        if self._whole == 0 and not b"".join(self._pieces[-2:]).endswith(LAST_CHUNK):
            return None
        answer = b"".join(self._pieces)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {answer[:2000]!r}")
        return answer

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        while (answer := self.receive()) is None:
            pass
        return answer


def _length(start: bytes) -> int | None:
    """Bytes of the answer that begins so, head included; 0 where chunks tell its end; None until the head is there."""
    head, end, _ = start.partition(b"\r\n\r\n")
    if not end:
        return None
    _, found, length = head.lower().partition(b"\r\ncontent-length:")
    return len(head) + 4 + int(length.split(b"\r\n", 1)[0]) if found else 0


def _check_response(answer: bytes) -> None:
    if _COMPLETED not in answer and _COMPLETED.replace(b":", b": ") not in answer:
        raise SystemExit(f"not a finished response: {answer!r}")


def _check_stream(answer: bytes) -> None:
    events = answer.count(b"data: {")
    if events != EVENTS or b"event: response.completed" not in answer:
        raise SystemExit(f"{events} events, not {EVENTS}: {answer[-3000:]!r}")


def _check_chat(answer: bytes) -> None:
    if b'"finish_reason":"stop"' not in answer:
        raise SystemExit(f"not a finished completion: {answer!r}")


def _questions(kind: str) -> list[bytes]:
    texts = [words.question(turn) for turn in range(_QUESTIONS)]
    if kind == "chat":
        return [request("/v1/chat/completions", messages=[{"role": "user", "content": text}]) for text in texts]
    stream = {"stream": True} if kind == "streams" else {}
    return [request("/v1/responses", input=text, store=True, **stream) for text in texts]


CHECKS = {"responses": _check_response, "streams": _check_stream, "chat": _check_chat}


def hammer(kind: str, port: int, seconds: float) -> dict[str, float]:
    """How many were answered, over so many connections, each asking as soon as it is answered; the seconds it took,
    from the first question to the last answer; the median and the 99th percentile of an answer, in seconds."""
    questions, check, took = cycle(_questions(kind)), CHECKS[kind], list[float]()
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    with selectors.DefaultSelector() as selector:
        start = now = time.perf_counter()
        asked = dict.fromkeys(connections, start)
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(questions))
        while asked:
            for key, _ in selector.select():
                connection = key.data
                answer = connection.receive()
                if answer is None:
                    continue
                check(answer)
                now = time.perf_counter()
                took.append(now - asked.pop(connection))
                if now < start + seconds:
                    asked[connection] = now
                    connection.send(next(questions))
    took.sort()
    return {
        "done": len(took),
        "seconds": now - start,
        "p50": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
        "own_cpu": time.process_time(),
    }


def chain(port: int, turns: int, previous: str | None) -> dict[str, Any]:
    """The seconds that each of so many turns took, one following the other, and the id of the last response."""
    connection, took = Connection(port), list[float]()
    for turn in count(1 if previous is None else turns):
        asked = request("/v1/responses", input=words.question(turn), store=True, previous_response_id=previous)
        start = time.perf_counter()
        answer = connection.ask(asked)
        took.append(time.perf_counter() - start)
        _check_response(answer)
        previous = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
        if turn == turns:
            break
    return {"took": took, "last": previous}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hammer", kind, port, seconds]:
            print(json.dumps(hammer(kind, int(port), float(seconds))))
        case ["chain", port, turns, *rest]:
            print(json.dumps(chain(int(port), int(turns), rest[0] if rest else None)))
        case _:
            raise SystemExit(__doc__)
