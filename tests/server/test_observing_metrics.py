"""`/metrics`: what Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from multiturn.server.observing.metrics import Metrics
from multiturn.server.upstreams import Upstream as Place
from multiturn.turns import Turn
from observed import ask, figure, page
from serving import Server
from upstream import Upstream, reply, status


def test_a_turn_is_counted_with_its_tokens(server: Server) -> None:
    for _ in range(3):
        assert ask(server).status_code == 200
    assert figure(server, "multiturn_turns_total", door="responses", status="completed") == 3
    usage = ask(server).json()["usage"]
    assert figure(server, "multiturn_input_tokens_total") == 4 * usage["input_tokens"] > 0
    assert figure(server, "multiturn_output_tokens_total") == 4 * usage["output_tokens"] > 0


def test_cached_tokens_and_cost_are_what_the_upstream_says(relay: Server, upstream: Upstream) -> None:
    told = {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 64}, "cost": 0.25}
    upstream.script(reply("Yes.", usage=told))
    ask(relay)
    assert figure(relay, "multiturn_input_tokens_total") == 100
    assert figure(relay, "multiturn_cached_tokens_total") == 64
    assert figure(relay, "multiturn_cost_usd_total") == 0.25


def test_every_status_of_a_turn_has_its_own_count(relay: Server, upstream: Upstream) -> None:
    upstream.script(status(500), reply("Yes."))
    assert ask(relay).status_code == 502
    assert ask(relay).status_code == 200
    assert figure(relay, "multiturn_turns_total", status="failed") == 1
    assert figure(relay, "multiturn_turns_total", status="completed") == 1
    assert figure(relay, "multiturn_upstream_calls_total", upstream="scripted", replica="0") == 2
    assert figure(relay, "multiturn_upstream_failures_total", upstream="scripted", replica="0") == 1


def test_requests_are_timed_by_door_pattern_and_status(server: Server) -> None:
    id = ask(server).json()["id"]
    httpx.get(f"{server.base_url}/responses/{id}")
    httpx.get(f"{server.base_url}/responses/resp_nothing")
    httpx.get(f"{server.base_url}/models")
    counted = "multiturn_request_seconds_count"
    for method, route, code, door in (
        ("POST", "/v1/responses", "200", "responses"),
        ("GET", "/v1/responses/{response_id}", "200", "responses"),
        ("GET", "/v1/responses/{response_id}", "404", "responses"),
        ("GET", "/v1/models", "200", "models"),
    ):
        assert figure(server, counted, door=door, method=method, route=route, status=code) == 1
    assert figure(server, "multiturn_request_seconds_sum") > 0


def test_the_first_token_is_timed_where_it_is_streamed(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("Well then.", delay_s=0.1), reply("Yes."))
    ask(relay, stream=True)
    ask(relay)
    assert figure(relay, "multiturn_first_token_seconds_count", door="responses") == 1
    assert 0 < figure(relay, "multiturn_first_token_seconds_sum") < figure(relay, "multiturn_request_seconds_sum")
    assert figure(relay, "multiturn_streams_open") == 0


def test_a_stream_is_open_until_it_ends(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("one two three four", delay_s=0.3))
    body = {"model": "tiny", "input": "Count.", "stream": True}
    with httpx.stream("POST", f"{relay.base_url}/responses", json=body) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if "output_text.delta" in line)
        assert figure(relay, "multiturn_streams_open") == 1
        assert figure(relay, "multiturn_requests_in_flight") == 1
        assert figure(relay, "multiturn_upstream_in_flight", upstream="scripted") == 1
        assert "response.completed" in "".join(lines)
    assert figure(relay, "multiturn_streams_open") == 0


def test_the_store_is_timed_for_each_tenant_too(server: Server) -> None:
    ask(server)
    ask(server, store=False)
    assert figure(server, "multiturn_store_seconds_count", operation="begin") == 1
    assert figure(server, "multiturn_store_seconds_count", operation="finish") == 1
    acme = server.service.store.tenant("acme")
    assert acme is server.service.store.tenant("acme")
    assert server.service.store.tenant("") is server.service.store


def test_only_names_of_the_settings_are_labels(serve: Callable[..., Server], upstream: Upstream) -> None:
    server = serve(upstreams=(Place(name="gpu", urls=(upstream.url,), models=("tiny",)),), routes=_everything("gpu"))
    ask(server, model="tiny")
    ask(server, model="named-by-a-client")
    assert figure(server, "multiturn_turns_total", model="tiny") == 1
    assert figure(server, "multiturn_turns_total", model="other") == 1
    assert "named-by-a-client" not in page(server)


def _everything(name: str) -> Any:
    from multiturn.server.upstreams import Route

    return (Route(match="*", to=name),)


def test_strays_are_counted_under_no_path_of_theirs(server: Server) -> None:
    answer = httpx.request("PROPFIND", f"{server.url}/v1/secret-path")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    answer = httpx.put(f"{server.base_url}/responses")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert figure(server, "multiturn_request_seconds_count", door="none", method="other") == 2
    assert "secret-path" not in page(server)


def test_a_replica_that_fails_is_seen_to(serve: Callable[..., Server]) -> None:
    server = serve(upstreams=(Place(name="gone", urls=("http://127.0.0.1:9/v1",)),))
    assert figure(server, "multiturn_upstream_healthy", upstream="gone") == 1
    assert ask(server).status_code == 502
    assert figure(server, "multiturn_upstream_healthy", upstream="gone") == 0


def test_openmetrics_is_spoken_where_it_is_asked_for(server: Server) -> None:
    ask(server)
    answer = httpx.get(f"{server.url}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def test_every_figure_says_what_it_is(server: Server) -> None:
    ask(server)
    families = list(text_string_to_metric_families(page(server)))
    assert len([family for family in families if family.name.startswith("multiturn_")]) >= 18
    assert all(family.documentation for family in families)


def test_without_metrics_there_is_no_page(serve: Callable[..., Server]) -> None:
    server = serve(metrics=False)
    assert ask(server).status_code == 200
    assert httpx.get(f"{server.url}/metrics").status_code == 404


def test_labels_are_looked_up_once() -> None:
    """What a turn costs is counting: the same children are used again."""
    metrics = Metrics({"tiny"})
    for _ in range(3):
        metrics.answered("responses", "POST", "/v1/responses", 200, 0.1)
        for model in ("tiny", f"model-{_}"):
            metrics.ended(
                "responses", Turn(id="turn_1", conversation="c", input=(), model=model, created_at=0), False, False
            )
    assert len(metrics._by_request) == 1
    assert sorted(metrics._by_turn) == [("responses", "other"), ("responses", "tiny")]


def test_what_a_replica_counts_is_added_as_it_grows() -> None:
    from multiturn.server.upstreams import ReplicaState

    metrics = Metrics(())
    for calls, failures in ((3, 1), (3, 1), (8, 2)):
        state = ReplicaState(
            upstream="gpu",
            replica=0,
            address="",
            healthy=True,
            in_flight=2,
            waiting=1,
            calls=calls,
            failures=failures,
            refused=0,
        )
        service: Any = SimpleNamespace(
            busy=1, background=SimpleNamespace(queued=0), upstreams=SimpleNamespace(states=lambda state=state: [state])
        )
        metrics.sample(service)
    shown = metrics.shown("")[0].decode()
    assert 'multiturn_upstream_calls_total{replica="0",upstream="gpu"} 8.0' in shown
    assert 'multiturn_upstream_failures_total{replica="0",upstream="gpu"} 2.0' in shown
    assert 'multiturn_upstream_waiting{replica="0",upstream="gpu"} 1.0' in shown
