"""What the application adds to its doors: other web pages that may call it, and paths that lead nowhere."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable

import httpx
import pytest

from multiturn.server import exchange
from multiturn.server.settings import Limits
from serving import Server
from upstream import Upstream, hang, hang_after, stream

PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


def test_no_other_page_may_call_it_unless_it_is_named(serve: Callable[..., Server]) -> None:
    server = serve()
    asked = httpx.options(f"{server.base_url}/responses", headers={"origin": "https://app.example", **PREFLIGHT})
    assert "access-control-allow-origin" not in asked.headers
    assert asked.status_code != 200


def test_a_page_that_is_named_may(serve: Callable[..., Server]) -> None:
    server = serve(cors_origins=("https://app.example",))
    origin = {"origin": "https://app.example"}
    asked = httpx.options(f"{server.base_url}/responses", headers={**origin, **PREFLIGHT})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://app.example"
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    said = httpx.post(f"{server.base_url}/responses", json={"model": "m", "input": "Hello"}, headers=origin)
    assert said.status_code == 200
    assert said.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-request-id" in said.headers["access-control-expose-headers"]
    other = {"origin": "https://evil.example", **PREFLIGHT}
    assert "access-control-allow-origin" not in httpx.options(f"{server.base_url}/responses", headers=other).headers


def test_a_path_that_leads_nowhere_says_so(serve: Callable[..., Server]) -> None:
    server = serve()
    answer = httpx.get(f"{server.base_url}/nothing")
    assert answer.status_code == 404
    assert "GET /v1/nothing" in answer.json()["error"]["message"]
    assert httpx.put(f"{server.base_url}/responses").status_code == 405


def test_an_answer_that_takes_too_long_is_ended(serve: Callable[..., Server], upstream: Upstream) -> None:
    server = serve(upstream=upstream.url, limits=Limits(stream_s=0.3))
    upstream.script(hang(), hang_after(3))
    asked = {"model": "tiny", "input": "Hello"}
    whole = httpx.post(f"{server.base_url}/responses", json=asked)
    assert whole.status_code == 504
    assert "longer than 0.3 s" in whole.json()["error"]["message"]
    streamed = httpx.post(f"{server.base_url}/responses", json={**asked, "stream": True})
    assert "response.output_text.delta" in streamed.text
    assert streamed.text.count("longer than 0.3 s") == 1
    until = time.monotonic() + 10
    while upstream.hung_up < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert upstream.hung_up == 2


def test_a_client_that_does_not_read_on_is_hung_up_on(
    serve: Callable[..., Server], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_UNREAD_S", 0.1)
    server = serve(upstream=upstream.url, limits=Limits(stream_s=0.5))
    upstream.script(stream(*["much " * 20_000] * 200))
    body = json.dumps({"model": "tiny", "input": "Hello", "stream": True}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        head = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        client.sendall(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))
        while (found := re.search(rb'"id":"(resp_\w+)"', client.recv(4096))) is None:
            pass
        url, until = f"{server.base_url}/responses/{found[1].decode()}", time.monotonic() + 20
        while (response := httpx.get(url).json())["status"] == "in_progress" and time.monotonic() < until:
            time.sleep(0.05)
    assert response["status"] == "failed"
    assert "longer than 0.5 s" in response["error"]["message"]
