"""What goes wrong: upstream, in what clients send, and for those whom nothing of it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI

from multiturn.models.limits import Retries, Timeouts
from multiturn.server.auth import new_key
from multiturn.server.responses.shown import response_id
from multiturn.server.upstreams import Upstream as Place
from responses_wire import Json, Wire, said
from serving import Server
from upstream import Behaviour, Upstream, cut_after, drop, hang, hang_after, invalid_json, reply, sse_raw, status

LIMITS = Timeouts(connect_s=2, first_byte_s=0.4, idle_s=0.4, total_s=5)


@pytest.fixture
def brief(serve: Callable[..., Server], upstream: Upstream) -> Server:
    """A server that waits for its upstream only briefly, and asks once."""
    place = Place(name="scripted", urls=(upstream.url,), timeouts=LIMITS, retries=Retries(attempts=1))
    started: Server = serve(upstreams=(place,))
    return started


FAULTS: list[tuple[str, Behaviour, int, str, type[openai.APIStatusError]]] = [
    # before the first event: the status, the error's code in the response, the SDK's class
    ("400", status(400), 400, "invalid_prompt", openai.BadRequestError),
    ("401", status(401), 502, "server_error", openai.InternalServerError),
    ("404", status(404), 404, "server_error", openai.NotFoundError),
    ("413", status(413), 413, "server_error", openai.APIStatusError),
    ("422", status(422), 422, "invalid_prompt", openai.UnprocessableEntityError),
    ("429", status(429, headers={"retry-after": "7"}), 429, "rate_limit_exceeded", openai.RateLimitError),
    ("500", status(500), 502, "server_error", openai.InternalServerError),
    ("503", status(503), 502, "server_error", openai.InternalServerError),
    ("dropped", drop(), 502, "server_error", openai.InternalServerError),
    ("silent", hang(), 504, "server_error", openai.InternalServerError),
    ("no json", invalid_json(), 502, "server_error", openai.InternalServerError),
    ("html", status(200, b"<html>no</html>"), 502, "server_error", openai.InternalServerError),
    ("nothing", reply(""), 502, "server_error", openai.InternalServerError),
]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "fault", "code", "told", "raised"), FAULTS, ids=[name for name, *_ in FAULTS])
def test_a_fault_before_the_first_event_has_a_status(
    brief: Server,
    upstream: Upstream,
    name: str,
    fault: Behaviour,
    code: int,
    told: str,
    raised: type[openai.APIStatusError],
    streams: bool,
) -> None:
    upstream.script(fault)
    with OpenAI(base_url=brief.base_url, api_key="none", max_retries=0) as client:
        with pytest.raises(raised) as caught:
            list(client.responses.create(model="m", input="Hi", stream=streams))
        assert caught.value.status_code == code
        if name == "429":
            assert caught.value.response.headers["retry-after"] == "7"
        wire = Wire(brief.url)
        stored = wire.response(latest(brief))
        assert (stored["status"], stored["error"]["code"]) == ("failed", told)
        upstream.script(reply("Fine."))
        assert said(wire.create(model="m", input="Hi")) == "Fine."
        wire.close()


def latest(server: Server) -> str:
    (record,) = server.run(server.service.store.conversations())
    return response_id(record.latest or "")


MIDWAY: list[tuple[str, Behaviour]] = [
    ("cut", cut_after(3)),
    ("reset", cut_after(3, reset=True)),
    ("silent", hang_after(3)),
    ("no json", sse_raw(b'data: {"choices":[{"index":0,"delta":{"content":"one two "}}]}\n\n', b"data: {{{\n\n")),
    (
        "error",
        sse_raw(
            b'data: {"choices":[{"index":0,"delta":{"content":"one two "}}]}\n\n',
            b'data: {"error":{"message":"overloaded","code":"500"}}\n\n',
        ),
    ),
]


@pytest.mark.parametrize(("name", "fault"), MIDWAY, ids=[name for name, _ in MIDWAY])
def test_a_fault_after_the_first_event_ends_the_stream_as_failed(
    brief: Server, upstream: Upstream, name: str, fault: Behaviour
) -> None:
    upstream.script(fault)
    wire = Wire(brief.url)
    *_, last = wire.events(model="m", input="Hi")
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"
    stored = wire.response(last["response"]["id"])
    assert stored["error"] == last["response"]["error"]
    assert said(stored) == said(last["response"]) == "one two "
    wire.close()


# --- bodies of all kinds --------------------------------------------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5) | st.just("user"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "id", "name", "text", "call_id"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
TYPES = st.sampled_from(
    (
        *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "function", "custom"),
        *("item_reference", "compaction", "image_generation_call", "computer_call_output", "custom_tool_call_output"),
    )
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"type": TYPES | VALUES},
        optional={
            **dict.fromkeys(("role", "content", "id", "summary", "encrypted_content", "output", "input"), VALUES),
            **dict.fromkeys(("call_id", "name", "arguments", "result", "phase"), VALUES),
        },
    ),
    max_size=3,
)
FIELDS = (
    *("instructions", "previous_response_id", "conversation", "tools", "tool_choice", "text", "reasoning", "include"),
    *("metadata", "temperature", "top_p", "truncation", "max_output_tokens", "parallel_tool_calls", "user", "store"),
    *("service_tier", "stream_options", "safety_identifier", "prompt", "background", "stream", "foo"),
)
BODIES = st.fixed_dictionaries(
    {"model": st.just("m") | VALUES, "input": st.text(max_size=5) | ITEMS | VALUES},
    optional={name: (ITEMS if name in ("tools", "include") else VALUES) | VALUES for name in FIELDS},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES, st.sampled_from(["/responses", "/responses/compact", "/responses/input_tokens"]))
def test_whatever_is_sent_is_answered_or_refused(wire: Wire, body: Json, path: str) -> None:
    answer = wire.send("POST", path, content=json.dumps(body).encode())
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={"items": ITEMS | VALUES, "metadata": VALUES}))
def test_whatever_is_sent_for_a_conversation_is_kept_or_refused(wire: Wire, body: Json) -> None:
    answer = wire.send("POST", "/conversations", content=json.dumps(body).encode())
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        wire.get(f"/conversations/{answer.json()['id']}/items", include="reasoning.encrypted_content")


# --- tenants --------------------------------------------------------------------------------------------------------


def test_what_belongs_to_another_tenant_does_not_exist(server: Server) -> None:
    wires = [Wire(server.url, authorization=f"Bearer {key_of(server, tenant)}") for tenant in ("acme", "umbrella")]
    theirs, mine = wires
    first = theirs.create(model="m", input="My name is Alice.")
    conversation = theirs.post("/conversations", items=[{"role": "user", "content": "Hi"}])["id"]
    (item,) = theirs.get(f"/conversations/{conversation}/items")["data"]
    own = mine.post("/conversations")["id"]
    for method, path in (
        ("GET", f"/responses/{first['id']}"),
        ("GET", f"/responses/{first['id']}/input_items"),
        ("POST", f"/responses/{first['id']}/cancel"),
        ("DELETE", f"/responses/{first['id']}"),
        ("GET", f"/conversations/{conversation}"),
        ("POST", f"/conversations/{conversation}"),
        ("GET", f"/conversations/{conversation}/items"),
        ("POST", f"/conversations/{conversation}/items"),
        ("GET", f"/conversations/{own}/items/{item['id']}"),
        ("DELETE", f"/conversations/{own}/items/{item['id']}"),
        ("GET", f"/conversations/{conversation}/items/{item['id']}"),
        ("DELETE", f"/conversations/{conversation}/items/{item['id']}"),
        ("DELETE", f"/conversations/{conversation}"),
    ):
        body: Json | None = {"items": [], "metadata": {}} if method == "POST" else None
        mine.refused(404, method, path, json=body)
    asks: list[tuple[int, Json]] = [
        (400, {"previous_response_id": first["id"]}),
        (400, {"previous_response_id": first["id"], "store": False}),
        (404, {"conversation": conversation}),
        (400, {"input": [{"type": "item_reference", "id": item["id"]}]}),
    ]
    for code, fields in asks:
        mine.refused(code, "POST", "/responses", json={"model": "m", "input": "What's my name?", **fields})
    assert theirs.response(first["id"]) == first
    for wire in wires:
        wire.close()


def test_a_wrong_key_is_told_in_openais_shape(server: Server) -> None:
    key_of(server, "acme")
    with OpenAI(base_url=server.base_url, api_key="mt-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.responses.create(model="m", input="Hi")
        with pytest.raises(openai.AuthenticationError):
            client.conversations.create()


def key_of(server: Server, tenant: str) -> str:
    text, record = new_key(tenant)
    server.run(server.service.store.create_key(record))
    return text
