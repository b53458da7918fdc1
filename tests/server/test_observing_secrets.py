"""Keys and what was said are in no log, no figure and no span, whatever route they come in by and whatever goes wrong
there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from websockets.sync.client import connect

from multiturn.server.app import routes
from multiturn.server.auth import new_key
from multiturn.server.settings import Log
from multiturn.server.upstreams import Upstream as Place
from observed import exporter, logged, page
from serving import Server
from upstream import Upstream, invalid_json, reply, status

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
    place = Place(name="scripted", urls=(upstream.url,), key_variable="SENTINEL_KEY")
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


def test_no_websocket_tells_keys_or_words(keyed: tuple[Server, str], upstream: Upstream) -> None:
    server, key = keyed
    upstream.script(reply(SAID), status(400, {"error": {"message": SAID}}))
    headers = {"authorization": f"Bearer {key}"}
    with logged() as written:
        with connect(f"{server.url}/v1/responses?key={SAID}".replace("http", "ws"), additional_headers=headers) as sent:
            events = [{**BODIES["/v1/responses"], "type": "response.create"}] * 2 + [{"type": SAID}, {"model": SAID}]
            for event in events:
                sent.send(json.dumps(event))
                while json.loads(sent.recv())["type"] not in ("response.completed", "response.failed", "error"):
                    pass
            sent.send(f'{{"{SAID}')
            assert json.loads(sent.recv())["type"] == "error"
        page(server)
    check(server, written.getvalue(), SAID, key, UPSTREAM_KEY)


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
