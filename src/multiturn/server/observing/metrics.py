"""Figures for Prometheus. No label holds anything that a client can choose: a model's name is one that the settings
name, or `other`; a route is its pattern.

One process keeps its figures in memory. With several (`--workers`), each keeps them in files of a folder that
`multiturn.server.app.serve` makes (prometheus-client's multiprocess mode, `PROMETHEUS_MULTIPROC_DIR`), and whichever
process is asked adds them all up. There the figures of other processes are a moment old: what is counted a tenth of a
second (`watching`), what stands at a level a second."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from multiturn.messages import Usage
from multiturn.server.upstreams import ReplicaState
from multiturn.turns import Turn

if TYPE_CHECKING:
    from multiturn.server.service import Service

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = frozenset({"GET", "POST", "DELETE", "WEBSOCKET"})
_ANSWERS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_FIRST_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)
_STORE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """All figures of one process. `models` are the names that may stand in a label. What is looked up by labels is
    kept, for a look-up costs more than the counting."""

    def __init__(self, models: Collection[str]) -> None:
        self._models = frozenset(models)
        self._is_shared = FOLDER in os.environ
        self._registry = CollectorRegistry()
        own = None if self._is_shared else self._registry  # the files have them, where they are shared
        if own is not None:
            ProcessCollector(registry=own)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"multiturn_{name}", text, labels, registry=own)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"multiturn_{name}", text, labels, registry=own, buckets=buckets)

        def gauge(name: str, text: str, *labels: str, mode: Literal["livesum", "livemin"] = "livesum") -> Gauge:
            return Gauge(f"multiturn_{name}", text, labels, registry=own, multiprocess_mode=mode)

        on_turn, on_replica = ("door", "model"), ("upstream", "replica")
        self._requests = histogram(
            "request_seconds",
            "Requests, from their arrival to the last byte of their answer, streams included.",
            *("door", "method", "route", "status"),
            buckets=_ANSWERS_S,
        )
        self._turns = counter("turns", "Turns that have ended.", *on_turn, "status")
        self._input = counter("input_tokens", "Tokens that models have read, cached ones included.", *on_turn)
        self._cached = counter("cached_tokens", "Input tokens that came from a provider's cache.", *on_turn)
        self._output = counter("output_tokens", "Tokens that models have written.", *on_turn)
        self._cost = counter("cost_usd", "US dollars, where the provider states the cost.", *on_turn)
        first = "From the model being asked to the first piece of a streamed answer."
        self._first = histogram("first_token_seconds", first, "door", buckets=_FIRST_S)
        self._store = histogram("store_seconds", "Calls of the store.", "operation", buckets=_STORE_S)
        self._streams = gauge("streams_open", "Answers that are being streamed.")
        self._background = gauge("background_running", "Background turns that are running.")
        self._queued = gauge("background_queued", "Background turns that wait for others to end.")
        self._in_flight = gauge("requests_in_flight", "Requests that are being answered.")
        self._calls = counter("upstream_calls", "Calls to an upstream.", *on_replica)
        self._failures = counter("upstream_failures", "Calls that an upstream failed.", *on_replica)
        self._refused = counter("upstream_refused", "Calls that found no room at an upstream.", *on_replica)
        self._calling = gauge("upstream_in_flight", "Calls to an upstream that are running.", *on_replica)
        self._waiting = gauge("upstream_waiting", "Calls that wait for room at an upstream.", *on_replica)
        self._healthy = gauge("upstream_healthy", "1 where an upstream answers, else 0.", *on_replica, mode="livemin")

        self.begin = self._store.labels("begin").observe
        self.finish = self._store.labels("finish").observe
        self._by_request: dict[tuple[str, str, str, int], Histogram] = {}
        self._by_turn: dict[tuple[str, str], _Turns] = {}
        self._by_status: dict[tuple[str, str, str], Counter] = {}
        self._by_door: dict[str, Histogram] = {}
        self._by_replica: dict[tuple[str, int], _Replica] = {}

    # --- what happens ---

    def answered(self, door: str, method: str, route: str, status: int, seconds: float) -> None:
        key = (door, method, route, status)
        kept = self._by_request.get(key)
        if kept is None:
            shown = method if method in _METHODS else "other"
            kept = self._by_request[key] = self._requests.labels(door, shown, route, str(status))
        kept.observe(seconds)

    def began(self, streams: bool, background: bool) -> None:
        if streams:
            self._streams.inc()
        if background:
            self._background.inc()

    def first(self, door: str, seconds: float) -> None:
        kept = self._by_door.get(door)
        if kept is None:
            kept = self._by_door[door] = self._first.labels(door)
        kept.observe(seconds)

    def ended(self, door: str, turn: Turn, streams: bool, background: bool) -> None:
        if streams:
            self._streams.dec()
        if background:
            self._background.dec()
        model, status = turn.model if turn.model in self._models else "other", turn.status.value
        count = self._by_status.get((door, model, status))
        if count is None:
            count = self._by_status[door, model, status] = self._turns.labels(door, model, status)
        count.inc()
        turns = self._by_turn.get((door, model))
        if turns is None:
            turns = self._by_turn[door, model] = _Turns(self, door, model)
        turns.add(turn.usage)

    # --- what is ---

    def sample(self, service: Service) -> None:
        """Take down the levels of this moment."""
        self._in_flight.set(service.busy)
        self._queued.set(service.background.queued)
        for state in service.upstreams.states():
            key = (state.upstream, state.replica)
            kept = self._by_replica.get(key)
            if kept is None:
                kept = self._by_replica[key] = _Replica(self, state)
            kept.take(state)

    def shown(self, accept: str) -> tuple[bytes, str]:
        """The page, in the form that this `Accept` asks for, and its media type. Takes some milliseconds."""
        registry = self._registry
        if self._is_shared:
            folder = os.environ[FOLDER]
            _forget_dead(folder)
            MultiProcessCollector(registry := CollectorRegistry(), folder)  # type: ignore[no-untyped-call]
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type

    @property
    def is_shared(self) -> bool:
        """Whether several processes show their figures together."""
        return self._is_shared


class _Turns:
    """The tokens of the turns of one door and model."""

    def __init__(self, metrics: Metrics, door: str, model: str) -> None:
        self._input = metrics._input.labels(door, model)
        self._cached = metrics._cached.labels(door, model)
        self._output = metrics._output.labels(door, model)
        self._cost = metrics._cost.labels(door, model)

    def add(self, usage: Usage) -> None:
        self._input.inc(usage.input_tokens)
        self._output.inc(usage.output_tokens)
        if usage.cached_tokens:
            self._cached.inc(usage.cached_tokens)
        if usage.cost_usd:
            self._cost.inc(usage.cost_usd)


class _Replica:
    """The figures of one replica; what it counts itself since the start is added as it grows."""

    def __init__(self, metrics: Metrics, state: ReplicaState) -> None:
        place = (state.upstream, str(state.replica))
        self._calling, self._waiting, self._healthy = (
            gauge.labels(*place) for gauge in (metrics._calling, metrics._waiting, metrics._healthy)
        )
        self._sums = [metrics._calls.labels(*place), metrics._failures.labels(*place), metrics._refused.labels(*place)]
        self._seen = [0, 0, 0]

    def take(self, state: ReplicaState) -> None:
        self._calling.set(state.in_flight)
        self._waiting.set(state.waiting)
        self._healthy.set(state.healthy)
        now = [state.calls, state.failures, state.refused]
        for counter, new, old in zip(self._sums, now, self._seen, strict=True):
            counter.inc(new - old)
        self._seen = now


def _forget_dead(folder: str) -> None:
    """Leave out the levels of processes that have ended; what they have counted stays."""
    for file in Path(folder).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        except PermissionError:
            pass
