"""Traces, by a real SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from websockets.sync.client import connect

from multiturn.server.upstreams import Upstream as Place
from observed import ask, exporter, spans
from serving import Server
from upstream import Upstream, reply, status

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    exporter().clear()
    yield
    exporter().clear()


@pytest.fixture
def traced(serve: Callable[..., Server], upstream: Upstream) -> Server:
    return serve(upstreams=(Place(name="scripted", urls=(upstream.url,)),), tracing=True)


def one(name: str) -> ReadableSpan:
    (span,) = spans(name)
    return span


def id_of(span: ReadableSpan) -> int:
    return span.context.span_id if span.context else 0


def trace_of(span: ReadableSpan) -> int:
    return span.context.trace_id if span.context else 0


def test_a_request_is_a_span_with_what_it_asked_and_used(traced: Server, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 32}}
    upstream.script(reply("Yes.", model="tiny-2026", usage=usage))
    answer = ask(traced, temperature=0.5, max_output_tokens=100).json()
    span = one("POST /v1/responses")
    said = dict(span.attributes or {})
    assert span.kind is SpanKind.SERVER
    assert said["http.request.method"] == "POST"
    assert said["http.route"] == "/v1/responses"
    assert said["http.response.status_code"] == 200
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "tiny"
    assert said["gen_ai.response.model"] == "tiny-2026"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["gen_ai.request.temperature"] == 0.5
    assert said["gen_ai.request.max_tokens"] == 100
    assert said["gen_ai.usage.input_tokens"] == 40
    assert said["gen_ai.usage.cache_read.input_tokens"] == 32
    assert said["gen_ai.usage.output_tokens"] == 2
    assert str(said["gen_ai.conversation.id"]).startswith("chain_")
    assert said["gen_ai.response.id"] == answer["id"].replace("resp_", "turn_")
    assert span.status.status_code is StatusCode.UNSET


def test_the_call_of_the_model_is_its_child(traced: Server, upstream: Upstream) -> None:
    upstream.script(reply("Well then.", delay_s=0.05))
    ask(traced, stream=True)
    request, call = one("POST /v1/responses"), one("chat tiny")
    assert call.kind is SpanKind.CLIENT
    assert call.parent is not None
    assert call.parent.span_id == id_of(request)
    said = dict(call.attributes or {})
    assert said["gen_ai.request.stream"] is True
    assert 0 < float(str(said["gen_ai.response.time_to_first_chunk"])) < 10
    assert "gen_ai.usage.input_tokens" not in said, "or a sum over spans would count them twice"
    assert (request.start_time or 0) <= (call.start_time or 0) < (call.end_time or 0) <= (request.end_time or 0)


def test_the_turns_of_a_conversation_share_its_id(traced: Server) -> None:
    first = ask(traced).json()["id"]
    ask(traced, previous_response_id=first)
    one_id, other_id = (
        dict(span.attributes or {})["gen_ai.conversation.id"] for span in spans("POST /v1/responses", 2)
    )
    assert one_id == other_id


def test_the_callers_trace_goes_on_to_the_upstream(traced: Server, upstream: Upstream) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=b", "baggage": "user=alice"}
    for stream in (False, True):
        exporter().clear()
        body = {"model": "tiny", "input": "Hello", "stream": stream}
        httpx.post(f"{traced.base_url}/responses", json=body, headers=headers)
        request, call = one("POST /v1/responses"), one("chat tiny")
        assert request.parent is not None
        assert f"{request.parent.span_id:016x}" == PARENT
        sent = upstream.requests[-1].headers
        assert sent["traceparent"] == f"00-{TRACE}-{id_of(call):016x}-01"
        assert sent["tracestate"] == "a=b"
        assert "baggage" not in sent


def test_a_bad_traceparent_begins_a_trace(traced: Server, upstream: Upstream) -> None:
    headers = {"traceparent": "00-zz-nonsense"}
    httpx.post(f"{traced.base_url}/responses", json={"model": "tiny", "input": "Hello"}, headers=headers)
    assert one("POST /v1/responses").parent is None
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]", upstream.requests[-1].headers["traceparent"])


def test_two_requests_are_two_traces(traced: Server) -> None:
    ask(traced)
    ask(traced)
    found = spans("POST /v1/responses", 2)
    assert len({trace_of(span) for span in found}) == 2
    assert all(span.parent is None for span in found)


def test_a_failure_has_a_kind_and_no_words(traced: Server, upstream: Upstream) -> None:
    upstream.script(status(400, b'{"error": {"message": "I do not like: What is 2+2?"}}'))
    assert ask(traced).status_code == 400
    for span in (one("POST /v1/responses"), one("chat tiny")):
        assert (span.attributes or {})["error.type"] == "RequestRejected"
        assert span.status.status_code is StatusCode.ERROR
        assert not span.status.description
        assert not span.events


def test_what_is_the_callers_mistake_is_no_error_of_ours(traced: Server) -> None:
    assert httpx.post(f"{traced.base_url}/responses", content=b"{").status_code == 400
    span = one("POST /v1/responses")
    assert (span.attributes or {})["http.response.status_code"] == 400
    assert span.status.status_code is StatusCode.UNSET


def test_content_is_traced_only_where_that_is_set(serve: Callable[..., Server], traced: Server) -> None:
    from multiturn.server.settings import Log

    ask(traced, instructions="Be brief.")
    assert not [
        name for span in exporter().get_finished_spans() for name in span.attributes or {} if "messages" in name
    ]
    exporter().clear()
    ask(serve(tracing=True, log=Log(content=True)), instructions="Be brief.")
    said = dict(one("POST /v1/responses").attributes or {})
    (asked,) = json.loads(str(said["gen_ai.input.messages"]))
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "What is 2+2?"}]}
    (answered,) = json.loads(str(said["gen_ai.output.messages"]))
    assert "4" in answered["parts"][0]["content"]
    assert json.loads(str(said["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]


def test_every_turn_of_a_websocket_has_its_own_figures(traced: Server, upstream: Upstream) -> None:
    with connect(f"{traced.url}/v1/responses".replace("http", "ws")) as socket:
        for lane in ("one", "two"):
            event = {"type": "response.create", "stream_id": lane, "model": "tiny", "input": "Hello"}
            socket.send(json.dumps(event))
        ended = 0
        while ended < 2:
            ended += json.loads(socket.recv())["type"] == "response.completed"
    calls, whole = spans("chat tiny", 2), one("GET /v1/responses")
    assert {call.parent.span_id for call in calls if call.parent} == {id_of(whole)}
    assert all((call.attributes or {})["gen_ai.usage.output_tokens"] == 3 for call in calls)
    assert "gen_ai.usage.output_tokens" not in (whole.attributes or {})
    sent = {received.headers["traceparent"].split("-")[2] for received in upstream.requests}
    assert sent == {f"{id_of(call):016x}" for call in calls}


def test_a_turn_in_the_background_is_told_of_by_its_own_span(traced: Server, upstream: Upstream) -> None:
    upstream.script(reply("Yes.", delay_s=0.1))
    assert ask(traced, background=True).json()["status"] in ("queued", "in_progress")
    call, request = one("chat tiny"), one("POST /v1/responses")
    assert call.parent is not None
    assert call.parent.span_id == id_of(request)
    assert (call.attributes or {})["gen_ai.usage.output_tokens"] == 3
    assert upstream.requests[0].headers["traceparent"].split("-")[2] == f"{id_of(call):016x}"


def test_without_tracing_nothing_is_recorded_or_sent(relay: Server, upstream: Upstream) -> None:
    ask(relay)
    assert exporter().get_finished_spans() == ()
    assert "traceparent" not in upstream.requests[-1].headers
