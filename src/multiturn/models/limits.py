"""How long to wait, and how often to try: what users say of it, and the clocks that keep to it. For every way to a
model, over HTTP or gRPC."""

from __future__ import annotations

import asyncio
import math
import random
from typing import NamedTuple

import msgspec

from multiturn.errors import ConnectTimedOut, FirstByteTimedOut, IdleTimedOut, TimedOut, TotalTimedOut


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds. None waits for ever.

    Timeouts(connect_s=10)       until there is a connection, TLS included; then `ConnectTimedOut`
    Timeouts(first_byte_s=600)   until the answer's first byte, from the start of the try; `FirstByteTimedOut`
    Timeouts(idle_s=120)         between one byte of the answer and the next; `IdleTimedOut`
    Timeouts(total_s=3600)       for everything, retries and pauses included; `TotalTimedOut`

    A model that thinks long before it speaks, or a slow machine that reads a long prompt, needs `first_byte_s`.
    """

    connect_s: float | None = 10.0
    first_byte_s: float | None = 600.0
    idle_s: float | None = 120.0
    total_s: float | None = 3600.0


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """When a call is tried again, all on its own.

    Retries(attempts=3)          tries in all; 1 never tries again
    Retries(base_s=0.5)          the first pause; each later one is twice as long, half of it left to chance
    Retries(cap_s=8)             the longest pause of our own choosing
    Retries(longest_wait_s=60)   the longest that a provider's Retry-After may ask for; more than that is an error now

    Tried again is what failed before the answer's first byte: no connection, a connection that was dropped, and the
    statuses 408, 409, 429 and 5xx. Never an answer that has begun, and not one that did not begin in time
    (`FirstByteTimedOut`): the model may be at work on it, and billing.
    """

    attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    longest_wait_s: float = 60.0

    def pause_s(self, failed: int) -> float:
        """How long to wait after this many failed tries (1 and up)."""
        longest = min(self.cap_s, self.base_s * 2.0 ** (failed - 1))
        return longest * random.uniform(0.5, 1.0)


class Limit(NamedTuple):
    """A moment of the loop's clock by which something must have happened, and the error if it has not."""

    at: float
    kind: type[TimedOut]
    stated_s: float | None  # what `Timeouts` says

    def clock(self) -> asyncio.Timeout:
        return asyncio.timeout_at(self.at if self.at < math.inf else None)

    def error(self, host: str) -> TimedOut:
        return timed_out(self.kind, self.stated_s, host)


class Deadline:
    """The end of `total_s`, which bounds every other limit; of the running event loop."""

    def __init__(self, total_s: float | None) -> None:
        self._now = asyncio.get_running_loop().time
        self._total_s = total_s
        self._end = math.inf if total_s is None else self._now() + total_s

    def allows(self, seconds: float) -> bool:
        return self._now() + seconds < self._end

    def within(self, seconds: float | None, kind: type[TimedOut]) -> Limit:
        """The sooner of `seconds` from now and the end."""
        at = math.inf if seconds is None else self._now() + seconds
        return Limit(at, kind, seconds) if at <= self._end else Limit(self._end, TotalTimedOut, self._total_s)


_TIMED_OUT = {
    ConnectTimedOut: "no connection to {host} within {limit:g} s; check the address and the network (connect_s)",
    FirstByteTimedOut: "{host} did not begin to answer within {limit:g} s; long thinking may need more (first_byte_s)",
    IdleTimedOut: "{host} fell silent in the middle of the answer, for {limit:g} s (idle_s)",
    TotalTimedOut: "the call to {host} took longer than {limit:g} s in all (total_s)",
}


def timed_out(kind: type[TimedOut], limit_s: float | None, host: str) -> TimedOut:
    error = kind(_TIMED_OUT[kind].format(host=host, limit=limit_s))
    error.limit_s = limit_s
    return error
