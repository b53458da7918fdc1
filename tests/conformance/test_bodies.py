"""Right bodies with something wrong in them (`bodies`), through every door: none may be answered by a 5xx, nor in a way
that the OpenAPI document does not tell. What is taken in spite of it can be read again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.bodies import NEVER, RIGHT, wrong
from conformance.checking import Answer, data_of, problems
from serving import Server


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


def check(answer: httpx2.Response) -> None:
    """Not a 5xx, and as documented."""
    assert answer.status_code < 500, answer.text
    media_type = answer.headers["content-type"].partition(";")[0]
    request, query = answer.request, answer.request.url.query.decode()
    seen = Answer(request.method, request.url.path, query, answer.status_code, media_type, answer.content)
    assert problems(seen) == []


def check_kept(http: httpx2.Client, path: str, answer: httpx2.Response) -> None:
    """What was stored of it can be read."""
    is_stream = answer.headers["content-type"].startswith("text/event-stream")
    made: Any = json.loads(data_of(answer.content)[0]) if is_stream else answer.json()
    made = made.get("response", made)
    id = made.get("id")
    if path == "/v1/responses" and made["store"]:
        check(http.get(f"/v1/responses/{id}"))
        check(http.get(f"/v1/responses/{id}/input_items", params={"limit": 100}))
    elif path == "/v1/conversations":
        check(http.get(f"/v1/conversations/{id}/items", params={"limit": 100}))
    elif path == "/v1/chat/completions":
        check(http.get(f"/v1/chat/completions/{id}/messages"))


@pytest.mark.parametrize("path", RIGHT)
def test_right_bodies_are_taken(http: httpx2.Client, path: str) -> None:
    for body in RIGHT[path]:
        answer = http.post(path, json=body)
        check(answer)
        assert answer.status_code == (404 if "conversation" in body else 400 if NEVER in str(refs(body)) else 200)


def refs(body: Any) -> list[Any]:
    return [body.get("previous_response_id"), *(each for each in body.get("input", ()) if "item_ref" in str(each))]


@pytest.mark.parametrize("path", RIGHT)
@given(data=st.data())
@examples(40)
def test_a_wrong_body_is_refused_or_understood(http: httpx2.Client, path: str, data: st.DataObject) -> None:
    refused_or_understood(http, path, data.draw(wrong(path)))


@pytest.mark.torture
@pytest.mark.parametrize("path", RIGHT)
@given(data=st.data())
@examples(2000)
def test_a_wrong_body_is_refused_or_understood_however_many(
    http: httpx2.Client, path: str, data: st.DataObject
) -> None:
    refused_or_understood(http, path, data.draw(wrong(path)))


def refused_or_understood(http: httpx2.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    check(answer)
    if answer.status_code == 200 and "count" not in path and "tokens" not in path:
        check_kept(http, path, answer)


# --- ids ------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
IDS = st.sampled_from(["resp_", "conv_", "msg_", "chatcmpl-", "turn_", ""]).flatmap(
    lambda prefix: (TEXT | st.just(NEVER) | st.just("0" * 3000)).map(lambda rest: prefix + rest)
)


@given(id=IDS, after=IDS, limit=st.integers() | TEXT)
@examples(60)
def test_an_id_of_any_kind_is_not_found(http: httpx2.Client, id: str, after: str, limit: object) -> None:
    shown = "".join(f"%{byte:02x}" for byte in id.encode("utf-8", "replace"))
    query = {
        "after": after.encode("utf-8", "replace").decode(),
        "limit": str(limit).encode("utf-8", "replace").decode(),
    }
    for path in (
        f"responses/{shown}",
        f"responses/{shown}/input_items",
        f"conversations/{shown}",
        f"conversations/{shown}/items",
        f"conversations/conv_{NEVER}/items/{shown}",
        f"chat/completions/{shown}",
        f"chat/completions/{shown}/messages",
        "chat/completions",
        f"models/{shown}",
    ):
        answer = http.get(f"/v1/{path}", params=query)
        assert answer.status_code in (200, 400, 404), answer.text
        assert answer.headers["content-type"] == "application/json"


# --- WebSocket ------------------------------------------------------------------------------------------------------


@given(bodies=st.lists(wrong("/v1/responses"), min_size=10, max_size=10))
@examples(6)
def test_a_connection_outlives_every_wrong_message(server: Server, bodies: list[bytes]) -> None:
    asyncio.run(_outlives(server.base_url.replace("http", "ws"), bodies))


async def _outlives(url: str, bodies: list[bytes]) -> None:
    async with websockets.connect(f"{url}/responses", max_size=None) as connection:
        for body in bodies:
            framed = body.replace(b"{", b'{"type":"response.create",', 1) if len(body) > 4 else body
            await connection.send(framed.decode("utf-8", "replace"))
            assert await _last(connection) in ("error", "response.completed", "response.incomplete", "response.failed")
        await connection.send(json.dumps({"type": "response.create", "model": "m", "input": "hi"}))
        assert await _last(connection) == "response.completed"


async def _last(connection: Any) -> str:
    """The type of the event that ends what was asked for."""
    while True:
        event = json.loads(await asyncio.wait_for(connection.recv(), 20))
        if event["type"] == "error":
            assert event["status"] < 500, event
        if event["type"] in ("error", "response.completed", "response.incomplete", "response.failed"):
            return str(event["type"])
