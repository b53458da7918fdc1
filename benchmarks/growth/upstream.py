"""A provider for the peers, in a thread of their own process: `/v1/chat/completions` and `/v1/responses`, answered at
once with the words of the next turn and everything that a real reply has beside them."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

import words


def start() -> str:
    """The base URL, without `/v1`. It answers for as long as the process lives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    turns = count(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        made = response if self.path == "/v1/responses" else completion
        body = json.dumps(made(next(Upstream.turns))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


MODEL = "gpt-5-mini-2025-08-07"


def completion(turn: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": words.answer(turn), "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{turn:029d}",
        "object": "chat.completion",
        "created": 1760000000 + turn,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 230 * turn,
            "completion_tokens": 30,
            "total_tokens": 230 * turn + 30,
            "prompt_tokens_details": {"cached_tokens": 230 * (turn - 1), "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    }


def response(turn: int) -> dict[str, Any]:
    text = {"type": "output_text", "text": words.answer(turn), "annotations": [], "logprobs": []}
    said = {"id": f"msg_{turn:048x}", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    return {
        "id": f"resp_{turn:048x}",
        "object": "response",
        "created_at": 1760000000 + turn,
        "model": MODEL,
        "status": "completed",
        "output": [said],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 230 * turn,
            "input_tokens_details": {"cached_tokens": 230 * (turn - 1)},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 230 * turn + 30,
        },
    }
