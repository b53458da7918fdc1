"""What the made-up bodies (`test_bodies`, `test_schemathesis`) have found, each as small as it gets."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from serving import Server

URL: Any = {"type": "url_citation", "url": "http://a.b", "title": "t", "start_index": 0, "end_index": 1}


def post(server: Server, path: str, body: bytes) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/{path}", content=body, headers={"content-type": "application/json"})


def response(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


CALL: Any = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
SEARCH: Any = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
THOUGHT: Any = {"type": "reasoning", "summary": []}
ANSWER: Any = {"role": "assistant", "content": "x"}
ASKS: Any = {"role": "user", "content": "x"}
RESPONSE, CHAT = "responses", "chat/completions"


def asked(more: bytes) -> bytes:
    """A body that every door understands, but for what is added."""
    return b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],%s}' % more


REFUSED: list[tuple[str, str, bytes, str]] = [
    ("an item's id that is no string", RESPONSE, response(input=[{**CALL, "id": 1}, ASKS]), "input[0].id"),
    ("that of a provider's own item", RESPONSE, response(input=[{**SEARCH, "id": 1}, ASKS]), "input[0].id"),
    (
        "encrypted thinking that is no string",
        RESPONSE,
        response(input=[{**THOUGHT, "encrypted_content": 1}, ASKS]),
        "input[0].encrypted_content",
    ),
    ("a compaction of nothing", RESPONSE, response(input=[{"type": "compaction"}, ASKS]), "input[0].encrypted_content"),
    (
        "a tool's schema that is none",
        RESPONSE,
        response(tools=[{"type": "function", "name": "f", "parameters": 1}]),
        "tools[0].parameters",
    ),
    (
        "an answer's schema that is none",
        RESPONSE,
        response(text={"format": {"type": "json_schema", "name": "n", "schema": 1}}),
        "text.format.schema",
    ),
    ("how to sum up thinking", RESPONSE, response(reasoning={"summary": 9}), "reasoning.summary"),
    ("how much to say", RESPONSE, response(text={"verbosity": "loud"}), "text.verbosity"),
    ("a number that is none", RESPONSE, b'{"model":"m","input":"hi","x":1e999}', "x"),
    ("the same in a completion", CHAT, asked(b'"x":1e999'), "x"),
]


@pytest.mark.parametrize(("path", "body", "param"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_would_be_told_again_as_nonsense_is_refused(server: Server, path: str, body: bytes, param: str) -> None:
    answer = post(server, path, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


FAR = {**ANSWER, "content": [{"type": "output_text", "text": "x", "annotations": [{**URL, "end_index": 2**64}]}]}
TAKEN: list[tuple[str, str, bytes]] = [
    ("a byte order mark", RESPONSE, b"\xef\xbb\xbf" + response()),
    ("half a surrogate pair", RESPONSE, b'{"model":"m","input":"\\ud800"}'),
    ("no UTF-8, in the background", RESPONSE, b'{"model":"m","input":"hi","background":true,"user":"\xff"}'),
    (
        "no UTF-8 in what is only repeated",
        RESPONSE,
        b'{"model":"m","input":"hi","tools":[{"type":"function","name":"f","x":"\xed\xa0\x80"}]}',
    ),
    ("no UTF-8 in what is not known", CHAT, asked(b'"x":"\xff"')),
    ("the same in a message", "messages", asked(b'"x":"\xff"')),
    ("a place beyond 64 bits", "conversations", json.dumps({"items": [FAR]}).encode()),
]


@pytest.mark.parametrize(("path", "body"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_flaws_that_cost_nothing_are_mended(server: Server, path: str, body: bytes) -> None:
    answer = post(server, path, body)
    assert answer.status_code == 200, answer.text


def test_only_phases_that_there_are_are_told(server: Server) -> None:
    body = json.dumps({"items": [{**ANSWER, "phase": phase} for phase in ("x", "final_answer")]}).encode()
    id = post(server, "conversations", body).json()["id"]
    shown = httpx2.get(f"{server.url}/v1/conversations/{id}/items", params={"order": "asc"}).json()["data"]
    assert [item.get("phase") for item in shown] == [None, "final_answer"]


@pytest.mark.parametrize("given", [{}, {"id": None}])
def test_every_item_of_a_conversation_has_an_id(server: Server, given: Any) -> None:
    id = post(server, "conversations", json.dumps({"items": [{**SEARCH, **given}]}).encode()).json()["id"]
    (shown,) = httpx2.get(f"{server.url}/v1/conversations/{id}/items").json()["data"]
    assert shown["id"]
    one = httpx2.get(f"{server.url}/v1/conversations/{id}/items/{shown['id']}")
    assert one.json() == shown
