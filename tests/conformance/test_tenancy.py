"""Two tenants on one server. Whatever one of them has, does not exist for the other: not by any id, on any route, in no
list. What is answered is, word for word, what is answered for an id that there never was."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx2
import openai
import pytest

from multiturn.ids import new_id
from multiturn.server.auth import new_key
from multiturn.server.openapi import document
from serving import Server

SECRET = "xylophone"
_CORE = re.compile(r"[0-9a-v]{26}")


class Tenants(NamedTuple):
    """A server, and the keys of two tenants: one who has said something, and one who has not."""

    server: Server
    owner: httpx2.Client
    other: httpx2.Client
    keys: tuple[str, str]


class Owned(NamedTuple):
    """Ids of what the owner has."""

    response: str
    background: str
    message: str
    conversation: str
    item: str
    completion: str
    compaction: str


@pytest.fixture(scope="module")
def tenants(serve: Callable[..., Server]) -> Iterator[Tenants]:
    server = serve()
    keys = []
    for tenant in ("acme", "umbrella"):
        key, record = new_key(tenant)
        server.run(server.service.store.create_key(record))
        keys.append(key)
    server.restart()  # nobody is let in without a key from now on
    owner, other = (
        httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=20) for key in keys
    )
    with owner, other:
        yield Tenants(server, owner, other, (keys[0], keys[1]))


@pytest.fixture(scope="module")
def owned(tenants: Tenants) -> Owned:
    def made(path: str, **body: Any) -> Any:
        answer = tenants.owner.post(f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    words = f"My instrument is the {SECRET}."
    conversation = made("conversations", items=[{"role": "user", "content": words}], metadata={"of": SECRET})
    in_it = made("responses", model="m", input=words, conversation=conversation["id"])
    response = made("responses", model="m", input=words)
    background = made("responses", model="m", input=words, background=True)
    said: Any = [{"role": "user", "content": words}]
    completion = made("chat/completions", model="m", messages=said, store=True, metadata={"of": SECRET})
    compaction = made("responses/compact", model="m", previous_response_id=response["id"])
    return Owned(
        response=response["id"],
        background=background["id"],
        message=response["output"][0]["id"],
        conversation=conversation["id"],
        item=in_it["output"][0]["id"],
        completion=completion["id"],
        compaction=compaction["id"],
    )


def never(id: str) -> str:
    """An id that looks like this one, of nothing."""
    return _CORE.sub(new_id("x").partition("_")[2], id)


# --- every id in a path ---------------------------------------------------------------------------------------------

BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/conversations/{conversation_id}"): {"metadata": {}},
    ("post", "/v1/conversations/{conversation_id}/items"): {"items": [{"role": "user", "content": "Hi"}]},
    ("post", "/v1/chat/completions/{id}"): {"metadata": {}},
}
_METHODS = ("get", "post", "delete")
IN_PATHS = [
    (method, path)
    for path, operations in document()["paths"].items()
    for method in _METHODS
    if method in operations and "{" in path and not path.startswith("/v1/models")
]


def paths_of(path: str, owned: Owned) -> list[str]:
    """The path with each id that may stand there."""
    if "{response_id}" in path:
        turns = [owned.response, owned.background, owned.compaction, owned.completion.replace("chatcmpl-", "resp_")]
        return [path.replace("{response_id}", id) for id in turns]
    if "{conversation_id}" in path:
        chat = owned.completion.replace("chatcmpl-", "chat_")
        there = [path.replace("{conversation_id}", id) for id in (owned.conversation, chat)]
        return [each.replace("{item_id}", owned.item) for each in there]
    return [path.replace("{id}", id) for id in (owned.completion, owned.response.replace("resp_", "chatcmpl-"))]


@pytest.mark.parametrize(("method", "path"), IN_PATHS, ids=[f"{method} {path}" for method, path in IN_PATHS])
def test_a_foreign_id_in_a_path_is_one_that_never_was(tenants: Tenants, owned: Owned, method: str, path: str) -> None:
    for foreign in paths_of(path, owned):
        absent = never(foreign)
        answers = [tenants.other.request(method, each, json=BODIES.get((method, path))) for each in (foreign, absent)]
        assert_alike(answers[0], answers[1])
        assert answers[0].status_code == 404


def test_the_owner_still_has_all_of_it(tenants: Tenants, owned: Owned) -> None:
    for path in (
        *(f"/v1/responses/{id}" for id in (owned.response, owned.background, owned.compaction)),
        f"/v1/responses/{owned.response}/input_items",
        f"/v1/conversations/{owned.conversation}/items/{owned.item}",
        f"/v1/chat/completions/{owned.completion}/messages",
    ):
        answer = tenants.owner.get(path)
        assert answer.status_code == 200, answer.text
    assert tenants.owner.get(f"/v1/conversations/{owned.conversation}").json()["metadata"] == {"of": SECRET}
    assert tenants.owner.get(f"/v1/chat/completions/{owned.completion}").json()["metadata"] == {"of": SECRET}


def assert_alike(foreign: httpx2.Response, absent: httpx2.Response) -> None:
    """Both say the same, but for the id that was asked for."""
    assert foreign.status_code == absent.status_code
    assert _CORE.sub("…", foreign.text) == _CORE.sub("…", absent.text)
    assert {*foreign.headers} == {*absent.headers}
    assert SECRET not in foreign.text


# --- every id in a body ---------------------------------------------------------------------------------------------


def after(id: str, **more: Any) -> Any:
    return {"previous_response_id": id, **more}


def refer(id: str) -> list[Any]:
    return [{"type": "item_reference", "id": id}]


IN_BODIES: list[tuple[str, str, Callable[[Owned], Any], int]] = [
    ("previous response", "responses", lambda own: after(own.response), 400),
    ("previous response, unstored", "responses", lambda own: after(own.response, store=False), 400),
    ("previous response, streamed", "responses", lambda own: after(own.response, stream=True), 400),
    ("background", "responses", lambda own: after(own.background, background=True), 400),
    ("compaction", "responses", lambda own: after(own.compaction), 400),
    ("completion", "responses", lambda own: after(own.completion.replace("chatcmpl-", "resp_")), 400),
    ("conversation", "responses", lambda own: {"conversation": own.conversation}, 404),
    ("in the background", "responses", lambda own: {"conversation": own.conversation, "background": True}, 404),
    ("item", "responses", lambda own: {"input": refer(own.message)}, 400),
    ("item of a conversation", "responses", lambda own: {"input": [{"id": own.item}]}, 400),
    ("compacted", "responses/compact", lambda own: after(own.response), 400),
    ("counted", "responses/input_tokens", lambda own: after(own.response), 400),
    ("counted conversation", "responses/input_tokens", lambda own: {"conversation": own.conversation}, 404),
    ("item added", "conversations", lambda own: {"items": refer(own.message)}, 400),
]


@pytest.mark.parametrize(("path", "body", "status"), [row[1:] for row in IN_BODIES], ids=[row[0] for row in IN_BODIES])
def test_a_foreign_id_in_a_body_is_one_that_never_was(
    tenants: Tenants, owned: Owned, path: str, body: Callable[[Owned], Any], status: int
) -> None:
    asked = body(owned) if path == "conversations" else {"model": "m", "input": "What's my instrument?", **body(owned)}
    nothing = json.loads(never(json.dumps(asked)))
    answers = [tenants.other.post(f"/v1/{path}", json=each) for each in (asked, nothing)]
    assert_alike(answers[0], answers[1])
    assert answers[0].status_code == status


def test_a_page_cannot_begin_behind_a_foreign_id(tenants: Tenants, owned: Owned) -> None:
    mine = tenants.other.post("/v1/conversations", json={"items": [{"role": "user", "content": "Hi"}]}).json()["id"]
    for path, id in (
        (f"/v1/conversations/{mine}/items", owned.item),
        ("/v1/chat/completions", owned.completion),
    ):
        answers = [tenants.other.get(path, params={"after": after}) for after in (id, never(id))]
        assert_alike(answers[0], answers[1])


def test_the_same_idempotency_key_of_two_tenants_makes_two_responses(tenants: Tenants, owned: Owned) -> None:
    headers, asked = {"idempotency-key": "same"}, {"model": "m", "input": f"The {SECRET}"}
    mine = tenants.owner.post("/v1/responses", json=asked, headers=headers).json()
    theirs = tenants.other.post("/v1/responses", json=asked, headers=headers).json()
    again = tenants.owner.post("/v1/responses", json=asked, headers=headers).json()
    assert mine == again
    assert mine["id"] != theirs["id"]


async def test_a_websocket_follows_no_foreign_response(tenants: Tenants, owned: Owned) -> None:
    client = openai.AsyncOpenAI(base_url=tenants.server.base_url, api_key=tenants.keys[1], max_retries=0)
    told = []
    async with client, client.responses.connect() as connection:
        for store in (True, False):
            for id in (owned.response, never(owned.response)):
                await connection.response.create(model="m", input="What?", previous_response_id=id, store=store)
                event = await connection.recv()
                assert event.type == "error"
                told.append(_CORE.sub("…", event.to_json()))
    assert len(set(told)) == 1


# --- everything else ------------------------------------------------------------------------------------------------


def test_lists_and_histories_hold_nothing_of_others(tenants: Tenants, owned: Owned) -> None:
    assert tenants.other.get("/v1/chat/completions").json()["data"] == []
    assert tenants.other.get("/v1/chat/completions", params={"metadata[of]": SECRET}).json()["data"] == []
    said: Any = [
        {"role": "user", "content": f"My instrument is the {SECRET}."},
        tenants.owner.get(f"/v1/chat/completions/{owned.completion}").json()["choices"][0]["message"],
        {"role": "user", "content": "Go on"},
    ]
    body = {"model": "m", "messages": said, "store": True}
    mine, theirs = (each.post("/v1/chat/completions", json=body).json()["id"] for each in tenants[1:3])
    store = tenants.server.service.store
    for tenant, id, turns in (("acme", mine, 2), ("umbrella", theirs, 1)):
        path = tenants.server.run(store.tenant(tenant).path(id.replace("chatcmpl-", "turn_")))
        assert len(path) == turns  # only who has stored it goes on from it


def test_figures_logs_and_errors_name_neither_tenants_nor_keys_nor_words(
    tenants: Tenants, owned: Owned, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tenants.owner.post("/v1/responses", json={"model": "m", "input": SECRET})
        tenants.other.get(f"/v1/responses/{owned.response}")
        tenants.other.post("/v1/responses", json={"model": "m", "input": "x", "temperature": SECRET})
        tenants.other.post("/v1/responses", content=b'{"input": "' + SECRET.encode())
        figures = httpx2.get(f"{tenants.server.url}/metrics").text
    logged = "\n".join(str({**vars(record), "message": record.getMessage()}) for record in caplog.records)
    assert "/v1/responses" in logged
    assert "/v1/responses" in figures
    for text in (figures, logged):
        assert SECRET not in text
        assert not [key for key in tenants.keys if key in text]
    assert "acme" not in figures
    assert "umbrella" not in figures
    assert not _CORE.search(figures)


def test_a_key_that_is_not_known_opens_nothing(tenants: Tenants, owned: Owned) -> None:
    for headers in ({}, {"authorization": "Bearer mt-wrong"}, {"x-api-key": "mt-wrong"}):
        with httpx2.Client(base_url=tenants.server.url, headers=headers) as stranger:
            for path, operations in document()["paths"].items():
                for method in _METHODS:
                    if method in operations and "security" not in operations[method]:
                        answer = stranger.request(method, paths_of(path, owned)[0] if "{" in path else path)
                        assert answer.status_code == 401, (method, path, answer.text)
                        assert "error" in answer.json()
