"""What the application adds to its doors: other web pages that may call it, and paths that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from serving import Server

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
