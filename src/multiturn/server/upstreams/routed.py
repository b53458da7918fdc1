"""`RoutedModel`: a model behind upstreams, for one exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from multiturn.deltas import Answer, Delta, Deltas
from multiturn.errors import InvalidInput, ModelError, RateLimited
from multiturn.formats.switching import Modality
from multiturn.notices import Notice
from multiturn.request import Request
from multiturn.server.upstreams.failures import DROPPED, may_go_again, may_go_elsewhere
from multiturn.server.upstreams.replicas import Call, Replica, Replicas


class Destination:
    """A model of an upstream: what a name leads to, or one of several."""

    def __init__(self, replicas: Replicas, name: str) -> None:
        self.replicas = replicas
        self.name = name
        self.provider = replicas.source.row.name
        self.dialect = replicas.source.dialect(name)

    @property
    def format(self) -> str:
        return self.dialect.format


class RoutedModel:
    """A `Model` that asks the replicas of its destinations, in order, until one answers. `affinity` says which replica
    of several is asked first. `provider`, `name`, `format` and `inputs` are those of the first destination; the
    answer's origin tells who has answered.

    Another replica is asked only before the answer has begun; what breaks later is raised."""

    def __init__(self, destinations: Sequence[Destination], affinity: str | None) -> None:
        self._destinations = destinations
        self._affinity = affinity

    def __repr__(self) -> str:
        return f"<{self.provider}:{self.name} by way of {self._destinations[0].replicas.name}>"

    @property
    def provider(self) -> str:
        return self._destinations[0].provider

    @property
    def name(self) -> str:
        return self._destinations[0].name

    @property
    def format(self) -> str:
        """The format it is asked in: `responses`, `chat_completions`, …"""
        return self._destinations[0].format

    @property
    def inputs(self) -> tuple[Modality, ...] | None:
        """What it reads beside text; None if that is not known."""
        return self._destinations[0].dialect.inputs

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """As `Model.answer` says. Raises `RateLimited` where no replica has room, too."""
        tries = _Tries(self._destinations, self._affinity)
        begun, answer = False, None
        while answer is None:
            destination, replica = await tries.next()
            notices: list[Notice] = []
            model = replica.model(destination.name, destination.dialect)
            try:
                async with (
                    Call(replica, destination.name, wait_s=tries.wait_s, lenient=tries.lenient) as call,
                    aclosing(model.answer(self._fitting(request, destination))) as items,
                ):
                    async for item in items:
                        if not begun:
                            if isinstance(item, Notice):
                                notices.append(item)
                                continue
                            begun = True
                            call.answered()
                            for notice in notices:
                                yield notice
                        if isinstance(item, Answer):
                            answer = item
                            break
                        yield item
            except (ModelError, InvalidInput) as error:
                if begun:
                    raise
                tries.failed(error)
        yield answer  # the replica is another call's by now

    def _fitting(self, request: Request, destination: Destination) -> Request:
        """The request, without fields of a format in which this destination is not asked."""
        if request.settings.extra is None or destination.format == self.format:
            return request
        return msgspec.structs.replace(request, settings=msgspec.structs.replace(request.settings, extra=None))

    async def aclose(self) -> None:
        """Nothing to let go of: connections are the upstreams'."""


class _Tries:
    """Whom to ask next: every replica that is up, once; then, after a pause, those that may do better by then."""

    def __init__(self, destinations: Sequence[Destination], affinity: str | None) -> None:
        self._upstream = destinations[0].replicas.source.upstream
        self._all = [(each, replica) for each in destinations for replica in each.replicas.ordered(affinity)]
        self._left = self._up()
        self._now = self._left[0]
        self.lenient = False
        """Whether the one to ask now is asked once more, at once, where it drops the connection."""
        self._dropped = False
        self._rounds = 1
        self._failures: list[ModelError] = []
        self._before = 0  # how many of them are from before this round

    def _up(self) -> list[tuple[Destination, Replica]]:
        """Those that are up; all, where none is, for one of them may be back."""
        now = time.monotonic()
        self._patient_until = now + self._upstream.queue_s
        return [place for place in self._all if place[1].health.is_up(now)] or list(self._all)

    @property
    def wait_s(self) -> float:
        """How long to wait for a slot; all waiting is one wait."""
        return self._patient_until - time.monotonic()

    async def next(self) -> tuple[Destination, Replica]:
        """Whom to ask. Raises the failure that tells most once there is nobody."""
        if self._dropped:
            self.lenient = self._dropped = False
            return self._now
        if not self._left:
            await self._pause()
        self.lenient = self._upstream.retries.attempts > 1
        self._now = self._left.pop(0)
        return self._now

    def failed(self, error: ModelError | InvalidInput) -> None:
        """The one who was asked has failed. Raises the error where it is the last word."""
        if isinstance(error, InvalidInput):
            if not self._failures:
                raise error
            self._all.remove(self._now)  # a stand-in that does not take what the first one would have taken
            return
        if not may_go_elsewhere(error):
            raise error
        self._dropped = error.code == DROPPED and self.lenient
        if self._dropped:
            return
        self._failures.append(error)
        if not may_go_again(error):
            self._all.remove(self._now)

    async def _pause(self) -> None:
        asked = [each.retry_after_s or 0.0 for each in self._failures[self._before :] if may_go_again(each)]
        retries = self._upstream.retries
        pause_s = min(asked, default=0.0) or retries.pause_s(self._rounds)
        if not self._all or self._rounds >= retries.attempts or pause_s > retries.longest_wait_s:
            raise self._last_word()
        self._rounds, self._before = self._rounds + 1, len(self._failures)
        await asyncio.sleep(pause_s)
        self._left = self._up()

    def _last_word(self) -> ModelError:
        """Of several failures the one that says when to come again, the soonest; else the last."""
        limited = [error for error in self._failures if isinstance(error, RateLimited) and error.retry_after_s]
        return min(limited, key=lambda error: error.retry_after_s or 0.0, default=self._failures[-1])
