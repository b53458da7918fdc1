"""Keys and what was said are in no log, no figure and no span, whatever route they come in by and whatever goes wrong
there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import empty_pb2
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from xai_sdk.chat import chat_pb2, user
from xai_sdk.proto import deferred_pb2, models_pb2

from multiturn.models.limits import Retries
from multiturn.server.app import routes
from multiturn.server.auth import new_key
from multiturn.server.settings import Log
from multiturn.server.upstreams import Upstream as Place
from observed import exporter, logged, page
from serving import Server
from upstream import Behaviour, Upstream, cut_after, invalid_json, raw, reply, sse, sse_raw, status
from xai_clients import ONCE, Door, client_of

SAID = "sentinel-of-what-was-said"
UPSTREAM_KEY = "sk-sentinel-of-the-upstream-0123456789"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    exporter().clear()
    yield
    exporter().clear()


@pytest.fixture
def keyed(serve: Callable[..., Server], upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> tuple[Server, str]:
    """A server with everything on, and a key for it."""
    monkeypatch.setenv("SENTINEL_KEY", UPSTREAM_KEY)
    once = Retries(attempts=1)
    place = Place(name="scripted", urls=(upstream.url,), key_variable="SENTINEL_KEY", retries=once)
    server = serve(upstreams=(place,), tracing=True)
    key, record = new_key("tenant-sentinel", name="name-sentinel")
    server.run(server.service.store.create_key(record))
    return server, key


BODIES: dict[str, Any] = {
    "/v1/responses": {"model": "tiny", "input": SAID, "instructions": SAID, "metadata": {"a": SAID}},
    "/v1/conversations": {"items": [{"type": "message", "role": "user", "content": SAID}], "metadata": {"a": SAID}},
    "/v1/conversations/{conversation_id}/items": {"items": [{"type": "message", "role": "user", "content": SAID}]},
    "/v1/chat/completions": {"model": "tiny", "messages": [{"role": "user", "content": SAID}], "store": True},
    "/v1/messages": {"model": "tiny", "max_tokens": 9, "messages": [{"role": "user", "content": SAID}]},
    "/v1/messages/count_tokens": {"model": "tiny", "messages": [{"role": "user", "content": SAID}]},
}
ANY: Any = {"model": "tiny", "input": SAID, "messages": [{"role": "user", "content": SAID}], "metadata": {"a": SAID}}


def requests_of(server: Server, ids: dict[str, str]) -> Iterator[tuple[str, str, bytes]]:
    """For every route, what it should be sent, and what it should not; keys and words in the query as well."""
    for route in routes(server.service):
        if not isinstance(route, Route):
            continue  # the WebSocket, which has a test of its own
        path = route.path
        for name in route.param_convertors:
            path = path.replace(f"{{{name}}}", ids.get(name, SAID))
        for method in sorted((route.methods or set()) - {"HEAD"}):
            body = BODIES.get(route.path, ANY)
            yield method, path, json.dumps(body).encode()
            yield method, f"{path}?q={SAID}&after={SAID}", json.dumps({**body, "stream": True}).encode()
            yield method, path, json.dumps({**body, "model": 3, SAID: SAID}).encode()
            yield method, path, f'{{"{SAID}": "{SAID}'.encode()
            yield method, path.replace("resp_", f"resp_{SAID}"), json.dumps(body).encode()


def made(server: Server, headers: dict[str, str]) -> dict[str, str]:
    """Ids of things that are there."""
    asked = httpx.post(f"{server.base_url}/responses", json=BODIES["/v1/responses"], headers=headers).json()
    conversation = httpx.post(f"{server.base_url}/conversations", json=BODIES["/v1/conversations"], headers=headers)
    chat = httpx.post(f"{server.base_url}/chat/completions", json=BODIES["/v1/chat/completions"], headers=headers)
    return {"response_id": asked["id"], "conversation_id": conversation.json()["id"], "id": chat.json()["id"]}


def check(server: Server, written: str, *secrets: str) -> None:
    everything = {
        "log": written,
        "figures": page(server),
        "spans": "".join(span.to_json() for span in exporter().get_finished_spans()),
    }
    assert all(everything.values())
    for secret in secrets:
        for place, text in everything.items():
            at = text.find(secret)
            assert at < 0, f"{secret} is in the {place}: …{text[max(0, at - 300) : at + 100]}…"


@pytest.mark.parametrize("text", [False, True], ids=["json", "text"])
def test_no_route_tells_keys_or_words(keyed: tuple[Server, str], upstream: Upstream, text: bool) -> None:
    server, key = keyed
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "user-agent": SAID}
    with logged(text=text) as written, httpx.Client(base_url=server.url, timeout=20) as client:
        ids = made(server, headers)
        statuses = set()
        for method, path, body in requests_of(server, ids):
            statuses.add(client.request(method, path, content=body, headers=headers).status_code)
            client.request(method, path, content=body, headers={"x-api-key": f"mt-{SAID}"})
        page(server)
    assert {200, 400, 404} <= statuses
    assert 500 not in statuses, "what fails unforeseen is another test's"
    secrets = (SAID, key, key[3:20], UPSTREAM_KEY, UPSTREAM_KEY[:14])
    check(server, written.getvalue(), *secrets)
    assert "sentinel" not in page(server), "no tenant's and no key's name either"


ENDS = ("response.completed", "response.failed", "error")
FAULTS: list[Behaviour] = [
    status(400, {"error": {"message": f"{SAID} is wrong, and so is {UPSTREAM_KEY}", "type": "scripted"}}),
    status(401, f"<p>{SAID} {UPSTREAM_KEY}".encode()),
    status(429, {"error": {"message": SAID}}, headers={"retry-after": "0"}),
    cut_after(3, f"{SAID} ", SAID),
    sse_raw(sse({"choices": [{"index": 0, "delta": {"content": SAID}}]}), f"data: {{{SAID}\n\n".encode()),
    sse_raw(sse({"error": {"message": f"{SAID} {UPSTREAM_KEY}", "type": "scripted"}})),
    raw(f"{SAID} {UPSTREAM_KEY}\r\n\r\n".encode()),
]


def test_no_websocket_tells_keys_or_words(keyed: tuple[Server, str], upstream: Upstream) -> None:
    server, key = keyed
    upstream.script(reply(SAID), reply(SAID), *FAULTS)
    headers = {"authorization": f"Bearer {key}", "user-agent": SAID, "x-words": SAID}
    asked = {**BODIES["/v1/responses"], "type": "response.create"}
    wrong = [
        {"type": SAID},
        {"model": SAID},
        {**asked, SAID: SAID},
        {**asked, "temperature": SAID},
        {**asked, "stream_id": f"{SAID} {SAID}"},
        {**asked, "previous_response_id": f"resp_{SAID}"},
        {**asked, "conversation": f"conv_{SAID}"},
        {**asked, "input": [{"type": "item_reference", "id": f"msg_{SAID}"}]},
        {**asked, "input": [{"role": SAID, "content": SAID}]},
    ]
    events = [asked, {**asked, "store": False, "stream_id": SAID}, *[asked] * len(FAULTS), *wrong]
    address = f"{server.url}/v1/responses?key={SAID}".replace("http", "ws")
    with logged() as written:
        with connect(address, additional_headers=headers) as socket:
            told = [_asked(socket, json.dumps(event)) for event in events]
            assert _asked(socket, f'{{"{SAID}') == "error"
        with pytest.raises(InvalidStatus), connect(address, additional_headers={"x-api-key": f"mt-{SAID}"}):
            pass
        page(server)
    assert told[:2] == ["response.completed"] * 2
    assert "response.failed" in told
    check(server, written.getvalue(), SAID, key, UPSTREAM_KEY)


def _asked(socket: Connection, event: str) -> str:
    """The type of the event that ends what this one asks for."""
    socket.send(event)
    while (type := json.loads(socket.recv(20))["type"]) not in ENDS:
        pass
    return str(type)


def test_no_grpc_call_tells_keys_or_words(keyed: tuple[Server, str], upstream: Upstream) -> None:
    server, key = keyed
    with logged() as written:
        door = Door(server)
        client = client_of(door.host, key, channel_options=[*ONCE, ("grpc.primary_user_agent", SAID)])
        codes = {_code_of(call) for call in grpc_calls(client)}
        stranger = client_of(door.host, f"mt-{SAID}")
        codes |= {_code_of(call) for call in grpc_calls(stranger)[:2]}
        for fault in FAULTS:
            for method in (client.chat._stub.GetCompletion, client.chat._stub.GetCompletionChunk):
                upstream.script(fault)
                codes.add(_code_of(partial(_all_of, method, completion())))
        client.close()
        stranger.close()
        door.close()
        page(server)
    assert {"OK", "UNAUTHENTICATED", "NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL"} <= codes
    check(server, written.getvalue(), SAID, key, key[3:20], UPSTREAM_KEY)
    assert "sentinel" not in page(server)


def completion(**more: Any) -> Any:
    return chat_pb2.GetCompletionsRequest(model="tiny", messages=[user(SAID)], n=1, **more)


def grpc_calls(client: Any) -> list[Callable[[], object]]:
    """Every method, as it should be called and as it should not; without the SDK, whose own spans tell what is said."""
    stub, models, tool = client.chat._stub, client.models._stub, {"name": SAID, "parameters": f'{{"{SAID}'}
    asked, following = completion(user=SAID, store_messages=True), completion(previous_response_id=SAID)
    wrong, broken = completion(tools=[{"function": tool}]), [chat_pb2.Message(encrypted_content=f"mtx1.{SAID}")]
    return [
        lambda: stub.GetStoredCompletion(chat_pb2.GetStoredCompletionRequest(response_id=stub.GetCompletion(asked).id)),
        *(partial(stub.GetCompletion, each) for each in (wrong, following)),
        *(partial(_all_of, stub.GetCompletionChunk, each) for each in (asked, wrong, following)),
        *(partial(stub.StartDeferredCompletion, each) for each in (asked, wrong, following)),
        partial(stub.GetDeferredCompletion, deferred_pb2.GetDeferredRequest(request_id=SAID)),
        partial(stub.DeleteStoredCompletion, chat_pb2.DeleteStoredCompletionRequest(response_id=SAID)),
        partial(stub.CompactContext, chat_pb2.CompactContextRequest(model="tiny", input=[user(SAID)])),
        partial(stub.CompactContext, chat_pb2.CompactContextRequest(model="tiny", input=broken)),
        partial(models.ListLanguageModels, empty_pb2.Empty()),
        partial(models.GetLanguageModel, models_pb2.GetModelRequest(name=SAID)),
    ]


def _all_of(method: Callable[..., Any], asked: Any) -> Any:
    """The reply, or all chunks of one."""
    reply = method(asked)
    return list(reply) if hasattr(reply, "__next__") else reply


def _code_of(call: Callable[[], object]) -> str:
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_no_failure_of_an_upstream_tells_them(keyed: tuple[Server, str], upstream: Upstream) -> None:
    server, key = keyed
    headers = {"authorization": f"Bearer {key}"}
    error = {"error": {"message": f"{SAID} is wrong, and so is {UPSTREAM_KEY}", "type": "scripted", "code": None}}
    faults = [status(code, error) for code in (400, 401, 403, 404, 413, 422)]
    faults += [invalid_json(), reply("")]
    with logged() as written:
        for fault in faults:
            for stream in (False, True):
                upstream.script(fault)
                body = {**BODIES["/v1/responses"], "stream": stream}
                httpx.post(f"{server.base_url}/responses", json=body, headers=headers, timeout=20)
        page(server)
    check(server, written.getvalue(), SAID, key, UPSTREAM_KEY)


def test_words_are_found_where_they_are_told_and_keys_are_not(keyed: tuple[Server, str], upstream: Upstream) -> None:
    """The search does find; and `log.content` means what was said, and no more."""
    first, key = keyed
    settings = {name: getattr(first.settings, name) for name in ("store", "upstreams", "tracing")}
    with Server(**settings, log=Log(content=True)) as server, logged(content=True) as written:
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.post(f"{server.base_url}/responses", json=BODIES["/v1/responses"], headers=headers).is_success
        page(server)
    assert SAID in written.getvalue()
    assert SAID in "".join(span.to_json() for span in exporter().get_finished_spans())
    assert key not in written.getvalue()


async def test_what_nobody_foresaw_tells_no_words() -> None:
    """A bug in a handler, whose exception quotes what it was given."""
    from starlette.testclient import TestClient

    from multiturn.formats.chat_completions import encode_error
    from multiturn.server.app import create_app
    from multiturn.server.doors import Call, Door
    from multiturn.server.settings import ServerSettings

    app = create_app(ServerSettings(store="sqlite://"))
    door = Door(app.state.service, "odd", encode_error)

    async def handle(call: Call) -> Any:
        raise KeyError((await call.body()).decode())

    app.router.routes.append(door.route("/odd", handle))
    with logged() as written, logged(text=True) as text:
        answer = TestClient(app, base_url="http://localhost").post("/odd", content=SAID)
    assert answer.status_code == 500
    assert "KeyError" in written.getvalue()
    for told in (written.getvalue(), text.getvalue(), answer.text):
        assert SAID not in told
