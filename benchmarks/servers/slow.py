"""Follows many slow streams at once (`paced.py`), for little CPU of its own: in `benchmarks/`,

    python -m servers.slow PORT PATH STREAMS PIECES SECONDS

opens them one after another within so many seconds, each on a connection of its own, and prints JSON: how many did not
come to their end with every piece, and how long pieces were on their way.
"""

from __future__ import annotations

import gc
import json
import re
import selectors
import sys
import time
from typing import Any

from servers.load import LAST_CHUNK, Connection, request

_PIECE = re.compile(rb'"(?:delta|content)": ?"(\d{20})"')
_LONGEST = 600  # bytes of an event that a later packet may complete
_PATIENCE_S = 30.0


class Stream:
    """One of them, as far as it has come."""

    def __init__(self, port: int, asked: bytes) -> None:
        self.connection = Connection(port)
        self.connection.socket.setblocking(True)
        self.connection.send(asked)
        self.pieces = 0
        self.has_ended = False
        self._rest = b""

    def receive(self) -> list[int]:
        """Nanoseconds that the pieces of the next packet took."""
        data = self.connection.socket.recv(1 << 16)
        now = time.monotonic_ns()
        if not data:
            self.has_ended = True
            return []
        data = self._rest + data
        found, end = list[int](), 0
        for piece in _PIECE.finditer(data):
            found.append(now - int(piece[1]))
            end = piece.end()
        self.pieces += len(found)
        self._rest = data[max(end, len(data) - _LONGEST) :]
        self.has_ended = self._rest.endswith(LAST_CHUNK)
        return found


def follow(port: int, path: str, streams: int, pieces: int, within_s: float) -> dict[str, Any]:
    said = {"input": "Go on."} if path.endswith("responses") else {"messages": [{"role": "user", "content": "Go on."}]}
    asked = request(path, stream=True, **said)
    took, running, whole, opened = list[int](), set[Stream](), 0, 0
    start = heard = time.monotonic()
    with selectors.DefaultSelector() as selector:
        while opened < streams or running:
            now = time.monotonic()
            while opened < streams and now >= start + within_s * opened / streams:
                stream = Stream(port, asked)
                selector.register(stream.connection.socket, selectors.EVENT_READ, stream)
                running.add(stream)
                opened += 1
            for key, _ in selector.select(0.002 if opened < streams else 1):
                stream, heard = key.data, now
                took += stream.receive()
                if stream.has_ended:
                    selector.unregister(stream.connection.socket)
                    running.remove(stream)
                    whole += stream.pieces == pieces
            if now > heard + _PATIENCE_S:
                break
    took.sort()
    return {
        "streams": streams,
        "dropped": streams - whole,
        "pieces": len(took),
        **{f"p{part:g}": took[min(len(took) - 1, int(len(took) * part / 100))] / 1e9 for part in (50, 99, 99.9)},
        "worst": took[-1] / 1e9,
        "seconds": time.monotonic() - start,
        "own_cpu": time.process_time(),
    }


if __name__ == "__main__":
    port, path, streams, pieces, within_s = sys.argv[1:]
    gc.disable()
    print(json.dumps(follow(int(port), path, int(streams), int(pieces), float(within_s))))
