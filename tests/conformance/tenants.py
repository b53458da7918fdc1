"""Two tenants on one server: one who has something of every kind, and one who asks for it by its ids in every way there
is. `ASKS` are these ways; what is told is compared with what is told of an id of the same shape that never was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import grpc
import httpx2
import pytest
from websockets.sync.client import connect
from xai_sdk.chat import chat_pb2, tool_result, user
from xai_sdk.proto import deferred_pb2

from multiturn.ids import new_id
from multiturn.server import auth
from multiturn.server.openapi import document
from serving import Server
from upstream import Upstream, hang_after
from xai_clients import Door, client_of

SECRET = "xylophone"
WORDS = f"My instrument is the {SECRET}."
CORE = re.compile(r"[0-9a-v]{26}")
METHODS = ("get", "post", "delete")


class Tenants(NamedTuple):
    """A server, and two tenants: one who has said something, and one who has not. `keys` are theirs."""

    server: Server
    owner: httpx2.Client
    other: httpx2.Client
    owner_grpc: Any
    other_grpc: Any
    keys: tuple[str, str]
    mine: str
    """A conversation of the other's."""


class Owned(NamedTuple):
    """What the owner has: turns, by how they were made, as what all their ids have in common; and whole ids."""

    turns: dict[str, str]
    conversation: str
    chat: str
    item: str
    message: str


class Told(NamedTuple):
    """What an ask has brought: a status, the names of headers, and all that was said, without ids."""

    status: int | str
    headers: frozenset[str]
    text: str


class Ask(NamedTuple):
    """A way to ask for something by an id. `ids` are those of the owner that may stand there."""

    name: str
    ids: Callable[[Owned], Sequence[str]]
    ask: Callable[[Tenants, str], Told]
    status: int | str


# --- who they are, and what the owner has ---------------------------------------------------------------------------


@contextmanager
def two_tenants(server: Server) -> Iterator[Tenants]:
    door = Door(server)
    keys = door.key("acme"), door.key("umbrella")
    door.close()
    server.restart()  # nobody is let in without a key from now on
    door = Door(server)
    with ExitStack() as until:
        until.enter_context(pytest.MonkeyPatch.context()).setattr(auth, "_FRESH_S", 1e9)  # a key is looked up once
        until.callback(door.close)
        owner, other = (
            until.enter_context(
                httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=20)
            )
            for key in keys
        )
        owner_grpc, other_grpc = (client_of(door.host, key) for key in keys)
        for client in (owner_grpc, other_grpc):
            until.callback(client.close)
        mine = other.post("/v1/conversations", json={"items": [{"role": "user", "content": "Hi"}]}).json()["id"]
        yield Tenants(server, owner, other, owner_grpc, other_grpc, keys, mine)


def everything(tenants: Tenants, upstream: Upstream) -> Owned:
    """Has the owner make one of everything; the last one runs on."""

    def made(path: str, **body: Any) -> Any:
        answer = tenants.owner.post(f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    conversation = made("conversations", items=[{"role": "user", "content": WORDS}], metadata={"of": SECRET})["id"]
    in_it = made("responses", model="m", input=WORDS, conversation=conversation)
    response = made("responses", model="m", input=WORDS)
    said: Any = [{"role": "user", "content": WORDS}]
    completion = made("chat/completions", model="m", messages=said, store=True, metadata={"of": SECRET})
    whole = {
        "in a conversation": in_it["id"],
        "response": response["id"],
        "background": made("responses", model="m", input=WORDS, background=True)["id"],
        "compaction": made("responses/compact", model="m", previous_response_id=response["id"])["id"],
        "completion": completion["id"],
        **_made_over_grpc(tenants.owner_grpc, upstream),
    }
    return Owned(
        turns={name: core(id) for name, id in whole.items()},
        conversation=conversation,
        chat=f"chat_{core(completion['id'])}",
        item=in_it["output"][0]["id"],
        message=response["output"][0]["id"],
    )


def _made_over_grpc(client: Any, upstream: Upstream) -> dict[str, str]:
    stub = client.chat._stub

    def deferred(*, stores: bool) -> str:
        asked, before = _asked_over_grpc(stores=stores), len(upstream.requests)
        id: str = stub.StartDeferredCompletion(asked).request_id
        assert upstream.wait(lambda: len(upstream.requests) > before)
        return id

    made = {"xai": stub.GetCompletion(_asked_over_grpc()).id}
    made |= {"deferred": deferred(stores=True), "to be told once": deferred(stores=False)}
    upstream.script(hang_after(3, "on ", "and "))
    return {**made, "running": deferred(stores=True)}


def _asked_over_grpc(*messages: Any, stores: bool = True, after: str | None = None) -> Any:
    said = messages or (user(WORDS),)
    asked = {"messages": said, "store_messages": stores, "previous_response_id": after}
    return chat_pb2.GetCompletionsRequest(model="m", n=1, **asked)


def core(id: str) -> str:
    found = CORE.search(id)
    assert found is not None
    return found[0]


def never(id: str) -> str:
    """An id that looks like this one, of nothing."""
    return CORE.sub(core(new_id("x")), id)


# --- HTTP -----------------------------------------------------------------------------------------------------------


def _sent(tenants: Tenants, method: str, path: str, **more: Any) -> Told:
    answer = tenants.other.request(method, path, **more)
    text = f"{answer.text} {answer.headers.get('location', '')}"
    return Told(answer.status_code, frozenset(answer.headers), CORE.sub("…", text))


_BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/conversations/{conversation_id}"): {"metadata": {}},
    ("post", "/v1/conversations/{conversation_id}/items"): {"items": [{"role": "user", "content": "Hi"}]},
    ("post", "/v1/chat/completions/{id}"): {"metadata": {}},
}
_ITEM = "/v1/conversations/{conversation_id}/items/{item_id}"


def paths_of(path: str, owned: Owned) -> list[str]:
    """The path with each id that may stand there."""
    for name, prefix in (("response_id", "resp_"), ("id", "chatcmpl-")):
        if f"{{{name}}}" in path:
            return [path.replace(f"{{{name}}}", prefix + turn) for turn in owned.turns.values()]
    there = [path.replace("{conversation_id}", id) for id in (owned.conversation, owned.chat)]
    return [each.replace("{item_id}", owned.item) for each in there]


def _in_path(method: str, path: str) -> Ask:
    def ask(tenants: Tenants, filled: str) -> Told:
        return _sent(tenants, method, filled, json=_BODIES.get((method, path)))

    return Ask(f"{method} {path}", partial(paths_of, path), ask, 404)


def _foreign_item(method: str) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        return _sent(tenants, method, f"/v1/conversations/{tenants.mine}/items/{id}")

    return Ask(f"{method} a foreign item in one's own conversation", items, ask, 404)


def _in_body(name: str, path: str, ids: Callable[[Owned], Sequence[str]], field: Any, status: int) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        usual = {} if path == "conversations" else {"model": "m", "input": "What's my instrument?"}
        return _sent(tenants, "post", f"/v1/{path}", json={**usual, **field(id)})

    return Ask(f"{path}: {name}", ids, ask, status)


def _page(name: str, path: str, ids: Callable[[Owned], Sequence[str]], status: int) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        return _sent(tenants, "get", path.format(tenants.mine), params={"after": id})

    return Ask(f"a page of {name} behind it", ids, ask, status)


def responses(owned: Owned) -> list[str]:
    return [f"resp_{turn}" for turn in owned.turns.values()]


def completions(owned: Owned) -> list[str]:
    return [f"chatcmpl-{turn}" for turn in owned.turns.values()]


def conversations(owned: Owned) -> list[str]:
    return [owned.conversation, owned.chat]


def items(owned: Owned) -> list[str]:
    return [owned.item, owned.message]


def _after(**more: Any) -> Any:
    return lambda id: {"previous_response_id": id, **more}


def _within(**more: Any) -> Any:
    return lambda id: {"conversation": id, **more}


def _refers(field: str) -> Any:
    return lambda id: {field: [{"type": "item_reference", "id": id}]}


HTTP = [
    *(
        _in_path(method, path)
        for path, operations in document()["paths"].items()
        for method in METHODS
        if method in operations and "{" in path and not path.startswith("/v1/models")
    ),
    *map(_foreign_item, ("get", "delete")),
    _in_body("previous response", "responses", responses, _after(), 400),
    _in_body("previous response, unstored", "responses", responses, _after(store=False), 400),
    _in_body("previous response, streamed", "responses", responses, _after(stream=True), 400),
    _in_body("previous response, in the background", "responses", responses, _after(background=True), 400),
    _in_body("previous response, of no model", "responses", responses, _after(model=None), 400),
    _in_body("conversation", "responses", conversations, _within(), 404),
    _in_body("conversation, in the background", "responses", conversations, _within(background=True), 404),
    _in_body("conversation, streamed", "responses", conversations, _within(stream=True), 404),
    _in_body("item", "responses", items, _refers("input"), 400),
    _in_body("item of its id alone", "responses", items, lambda id: {"input": [{"id": id}]}, 400),
    _in_body("previous response", "responses/compact", responses, _after(), 400),
    _in_body("previous response", "responses/input_tokens", responses, _after(), 400),
    _in_body("conversation", "responses/input_tokens", conversations, _within(), 404),
    _in_body("item", "conversations", items, _refers("items"), 400),
    _page("items", "/v1/conversations/{}/items", items, 404),
    _page("completions", "/v1/chat/completions", completions, 200),
]


# --- WebSocket ------------------------------------------------------------------------------------------------------


def _over_socket(name: str, ids: Callable[[Owned], Sequence[str]], field: Any, status: int) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        url = f"{tenants.server.url.replace('http', 'ws', 1)}/v1/responses"
        headers = {"authorization": f"Bearer {tenants.keys[1]}"}
        with connect(url, additional_headers=headers, compression=None) as socket:
            socket.send(json.dumps({"type": "response.create", "model": "m", "input": "What?", **field(id)}))
            text = socket.recv(20)
        event = json.loads(text)
        assert event["type"] == "error"
        return Told(event["status"], frozenset(event["error"]), CORE.sub("…", str(text)))

    return Ask(f"WebSocket: {name}", ids, ask, status)


SOCKET = [
    _over_socket("previous response", responses, _after(), 400),
    _over_socket("previous response, unstored", responses, _after(store=False), 400),
    _over_socket("previous response, not generated", responses, _after(generate=False), 400),
    _over_socket("conversation", conversations, _within(), 404),
    _over_socket("item", items, _refers("input"), 400),
]


# --- gRPC -----------------------------------------------------------------------------------------------------------


def cores(owned: Owned) -> list[str]:
    return [*owned.turns.values(), core(owned.conversation)]


def _refused(call: Callable[[], object]) -> Told:
    try:
        call()
    except grpc.RpcError as error:
        told: Any = error
        headers = frozenset(name for name, _ in (*told.initial_metadata(), *told.trailing_metadata()))
        return Told(told.code().name, headers, CORE.sub("…", told.details()))
    raise AssertionError("there was an answer")


def _by_id(name: str, make: Callable[[str], Any]) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        return _refused(lambda: getattr(tenants.other_grpc.chat._stub, name)(make(id)))

    return Ask(f"gRPC {name}", cores, ask, "NOT_FOUND")


def _follows(name: str, case: str, messages: Sequence[Any], *, stores: bool) -> Ask:
    def ask(tenants: Tenants, id: str) -> Told:
        method = getattr(tenants.other_grpc.chat._stub, name)
        request = _asked_over_grpc(*messages, stores=stores, after=id)
        return _refused(lambda: list(method(request)) if name == "GetCompletionChunk" else method(request))

    return Ask(f"gRPC {name}: {case}", cores, ask, "NOT_FOUND")


_FOLLOWING = ("GetCompletion", "GetCompletionChunk", "StartDeferredCompletion")
GRPC = [
    _by_id("GetStoredCompletion", lambda id: chat_pb2.GetStoredCompletionRequest(response_id=id)),
    _by_id("DeleteStoredCompletion", lambda id: chat_pb2.DeleteStoredCompletionRequest(response_id=id)),
    _by_id("GetDeferredCompletion", lambda id: deferred_pb2.GetDeferredRequest(request_id=id)),
    *(_follows(name, "previous response", [user("What?")], stores=True) for name in _FOLLOWING),
    *(_follows(name, "previous response, unstored", [user("What?")], stores=False) for name in _FOLLOWING),
    *(_follows(name, "result of its call", [tool_result("12:00")], stores=True) for name in _FOLLOWING),
]

ASKS = [*HTTP, *SOCKET, *GRPC]
