"""`Replicas`: the servers of one upstream, which of them a call goes to, and how each of them does."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import OrderedDict
from types import TracebackType

import msgspec

from multiturn.errors import ConnectionFailed, ModelError, ProviderFailed, RateLimited, StreamCut, TimedOut
from multiturn.formats.switching import Target
from multiturn.models.base import Model
from multiturn.models.remote import Endpoint
from multiturn.server.upstreams.failures import BUSY, DROPPED, hidden, is_down, shown
from multiturn.server.upstreams.health import Health
from multiturn.server.upstreams.slots import NoSlot, Slots, TurnedAway
from multiturn.server.upstreams.source import Source
from multiturn.server.upstreams.upstream import Upstream

MOST_MODELS = 500
"""How many models a replica keeps made; names may come from clients."""

_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_log = logging.getLogger("multiturn.server")


class ReplicaState(msgspec.Struct, frozen=True, kw_only=True):
    """How a replica does. It is not `healthy` while it is out, is being tried, or has asked to be left alone for a
    while. `address` is for who runs the server, never for clients; `replica` counts from 0. `calls`, `failures` (its
    own, not the callers') and `refused` (no slot to be had) are sums since the start."""

    upstream: str
    replica: int
    address: str
    healthy: bool
    in_flight: int
    waiting: int
    calls: int
    failures: int
    refused: int


class Replicas:
    """One upstream's."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.addresses = hidden(source.urls)
        self.all = tuple(Replica(self, number, url) for number, url in enumerate(source.urls))
        self._turn = 0

    @property
    def name(self) -> str:
        return self.source.upstream.name

    def ordered(self, affinity: str | None) -> list[Replica]:
        """All of them, the one to ask first in front. By rendezvous hashing, so that what has the same affinity goes
        the same way whatever becomes of other replicas, in every process; the least busy one first for None."""
        if len(self.all) == 1:
            return [self.all[0]]
        if affinity is not None:
            word = affinity.encode(errors="replace")
            return sorted(self.all, key=lambda replica: replica.score(word), reverse=True)
        self._turn += 1
        turned = [*self.all[self._turn % len(self.all) :], *self.all[: self._turn % len(self.all)]]
        return sorted(turned, key=lambda replica: replica.slots.in_use + replica.slots.waiting)

    def went_out(self, out: Replica, now: float) -> None:
        """Who waits for a replica that is out waits for another, where there is one."""
        if any(replica.health.is_up(now) for replica in self.all if replica is not out):
            out.slots.turn_away()


class Replica:
    """One server."""

    def __init__(self, replicas: Replicas, number: int, url: str) -> None:
        upstream = replicas.source.upstream
        self.replicas = replicas
        self.number = number
        self.health = Health()
        self.slots = Slots(upstream.concurrency, upstream.queue)
        self.calls = 0
        self.failures = 0
        self.refused = 0
        self.address = Endpoint(provider=upstream.name, base_url=url).shown
        self._url = url
        self._hash_key = hashlib.blake2b(url.encode(), digest_size=16).digest()
        self._models: OrderedDict[str, Model] = OrderedDict()

    @property
    def upstream(self) -> Upstream:
        return self.replicas.source.upstream

    @property
    def state(self) -> ReplicaState:
        return ReplicaState(
            upstream=self.upstream.name,
            replica=self.number,
            address=self.address,
            healthy=self.health.is_up(time.monotonic()),
            in_flight=self.slots.in_use,
            waiting=self.slots.waiting,
            calls=self.calls,
            failures=self.failures,
            refused=self.refused,
        )

    def score(self, affinity: bytes) -> bytes:
        """How much this replica suits; of all replicas the highest wins."""
        return hashlib.blake2b(affinity, digest_size=8, key=self._hash_key).digest()

    def model(self, name: str, dialect: Target) -> Model:
        """The model of this name here. It is kept, for it knows what its provider has lost."""
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = self.replicas.source.model(name, dialect, self._url)
            if len(self._models) > MOST_MODELS:
                self._models.popitem(last=False)
        return model

    async def aclose(self) -> None:
        for model in list(self._models.values()):
            await model.aclose()


class Call:
    """One call to a replica, for the length of an `async with`: has a slot, and tells the replica's health what became
    of it. Entering raises `RateLimited` where no slot is to be had in `wait_s` seconds, and `ProviderFailed` where the
    replica failed meanwhile. A `ModelError` that leaves it is one that a client may read. `lenient` forgives one
    that is dropped."""

    def __init__(self, replica: Replica, model: str, *, wait_s: float, lenient: bool = False) -> None:
        self._replica = replica
        self._model = model
        self._wait_s = wait_s
        self._lenient = lenient
        self._began = 0.0
        self._tries = False
        self._answered = False

    async def __aenter__(self) -> Call:
        replica = self._replica
        try:
            await replica.slots.take(self._wait_s)
        except NoSlot:
            replica.refused += 1
            raise self._busy() from None
        except TurnedAway:
            text = f"{replica.upstream.name} has just failed; try again later"
            raise ProviderFailed(text, provider=replica.replicas.source.row.name, model=self._model) from None
        replica.calls += 1
        self._began = time.monotonic()
        self._tries = replica.health.begin(self._began)
        return self

    def answered(self) -> None:
        """The replica does answer."""
        self._answered = True
        if self._replica.health.answered(self._began):
            _log.info("an upstream is back", extra=self._place)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        replica, now = self._replica, time.monotonic()
        try:
            if isinstance(error, ModelError):
                self._judge(error, now)
            elif not self._answered:
                replica.health.leave(self._tries)
        finally:
            replica.slots.leave(now - self._began)

    def _judge(self, error: ModelError, now: float) -> None:
        replica = self._replica
        if error.code == DROPPED and self._lenient:
            replica.health.leave(self._tries)  # most likely a kept connection that the server had closed meanwhile
        elif is_down(error):
            replica.failures += 1
            if replica.health.failed(self._began, now):
                replica.replicas.went_out(replica, now)
        else:
            self.answered()
            if isinstance(error, RateLimited) and error.retry_after_s:
                replica.health.rest(error.retry_after_s, now)
        self._tell(error, now)
        shown(error, replica.upstream.name, replica.replicas.addresses)

    def _tell(self, error: ModelError, now: float) -> None:
        """Log it. What the provider says may repeat what was said to it, so only words of our own are logged."""
        ours = str(error) if isinstance(error, ConnectionFailed | TimedOut | StreamCut) else None
        fields = {"error": type(error).__name__, "status": error.status, "code": _word(error.code), "reason": ours}
        out_s = round(self._replica.health.out_s(now), 1)
        _log.warning("a call to an upstream failed", extra={**self._place, **fields, "out_s": out_s})

    @property
    def _place(self) -> dict[str, object]:
        return {"upstream": self._replica.upstream.name, "replica": self._replica.address, "model": self._model}

    def _busy(self) -> RateLimited:
        slots = self._replica.slots
        return RateLimited(
            f"{self._replica.upstream.name} is busy, and {slots.waiting} calls wait already; "
            f"try again in {slots.hint_s:.0f} s",
            provider=self._replica.replicas.source.row.name,
            model=self._model,
            code=BUSY,
            retry_after_s=slots.hint_s,
        )


def _word(code: str | None) -> str | None:
    """A provider's code, if it is one: words of its own choosing are not to stand in the log."""
    return code if code and _CODE.fullmatch(code) else None
