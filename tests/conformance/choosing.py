"""An upstream that gives several answers to one request."""

from __future__ import annotations

import json

from upstream import USAGE, Behaviour, Exchange, sse


def choices(*texts: str) -> Behaviour:
    """An answer of several choices; streamed, the last one comes first."""

    async def run(exchange: Exchange) -> None:
        head = {"id": "chatcmpl-1", "model": "m", "usage": USAGE}
        if not exchange.request.streams:
            said = [{"index": n, "message": {"role": "assistant", "content": text}} for n, text in enumerate(texts)]
            whole = {**head, "choices": [{**choice, "finish_reason": "stop"} for choice in said]}
            exchange.whole(200, json.dumps(whole).encode())
            return
        exchange.begin_stream()
        for n, text in reversed(list(enumerate(texts))):
            delta = {"role": "assistant", "content": text}
            exchange.chunk(sse({**head, "choices": [{"index": n, "delta": delta, "finish_reason": "stop"}]}))
        exchange.chunk(b"data: [DONE]\n\n")
        exchange.chunk(b"")

    return run
