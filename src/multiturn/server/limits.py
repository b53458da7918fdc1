"""How much one request may be, and how much one key may ask for."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import accumulate
from typing import Final

from starlette.requests import ClientDisconnect, Request

from multiturn.errors import InvalidInput, RateLimited, RequestTooLarge
from multiturn.server.auth import Caller
from multiturn.server.settings.values import Limits

DEFAULTS: Final = Limits()

# --- one request ----------------------------------------------------------------------------------------------------


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body. Raises `RequestTooLarge` as soon as it is too long, and `InvalidInput` where JSON is too deep in it.
    Whether it is JSON at all, its format says."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidInput("the body is compressed, which this server does not read; send it as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    pieces, size, more = list[bytes](), 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
        if size > limits.body_bytes:
            raise _too_large(limits)
    body = b"".join(pieces)
    check_depth(body, limits.depth)
    return as_text(body)


def as_text(body: bytes) -> bytes:
    """The body, in which what is no UTF-8 is replaced: decoders pass over it in what they do not read."""
    if body.isascii():
        return body
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode()
    return body


def check_size(body: bytes, limits: Limits) -> None:
    """The same for a body that has been read: a WebSocket's message. Raises as `read_body` does."""
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    check_depth(body, limits.depth)


def check_items(count: int, limits: Limits) -> None:
    """Raise `InvalidInput` where a request holds more items than it may."""
    if count > limits.items:
        raise InvalidInput(
            f"the request holds {count:,} items, and may hold {limits.items:,}; "
            "leave out what is stored already, and go on from it by its id"
        )


def check_depth(body: bytes, depth: int) -> None:
    """Raise `InvalidInput` where JSON is nested deeper than `depth`. Says nothing of what else may be wrong with it."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return
    if max(accumulate(map(_STEP.__getitem__, _brackets(body))), default=0) > depth:
        raise InvalidInput(f"the JSON of the request is nested more than {depth} deep")


_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(set(range(256)) - set(b'"[]{}'))
_MOST_MARKS = 2_000_000  # brackets and quotes of one body; about 20 times what 10,000 long tool calls come to


def _brackets(body: bytes) -> bytes:
    """The brackets outside of strings. A backslash stands only in strings, and counts for what follows it."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = body.translate(None, _OTHERS)
    if len(marks) > _MOST_MARKS:
        raise InvalidInput("the JSON of the request holds too many values; leave out what is stored already")
    return b"".join(marks.split(b'"')[::2])


def _too_large(limits: Limits) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request's body is longer than {limits.body_bytes:,} bytes, which is the most that this server takes; "
        "images and files may be given by URL",
        status=413,
        code="request_too_large",
    )


# --- many requests --------------------------------------------------------------------------------------------------


class Rates:
    """What each key may ask for in a minute, by its own limits or else by those of `limits`. Counted in this process
    alone, and not across restarts. `clock` gives seconds."""

    def __init__(self, limits: Limits = DEFAULTS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._requests: dict[str | None, _Bucket] = {}
        self._tokens: dict[str | None, _Bucket] = {}

    def take(self, caller: Caller) -> None:
        """Count a request. Raises `RateLimited`, with when to come again, for one too many, or where the tokens of this
        minute are used up."""
        now = self._clock()
        tokens, requests = self._tokens_of(caller, now), self._requests_of(caller, now)
        if tokens and (wait_s := tokens.wait_s(now)):
            raise _limited(f"{tokens.per_minute:,} tokens", wait_s)
        if requests and (wait_s := requests.wait_s(now)):
            raise _limited(f"{requests.per_minute:,} requests", wait_s)
        if requests:
            requests.level -= 1

    def spend(self, caller: Caller, tokens: int) -> None:
        """Count the tokens that an answer took, which are known only when it has ended. What was too much must be
        waited for before the next request."""
        bucket = self._tokens_of(caller, self._clock())
        if bucket:
            bucket.level -= tokens

    def _requests_of(self, caller: Caller, now: float) -> _Bucket | None:
        per_minute = caller.requests_per_minute or self._limits.requests_per_minute
        return _bucket(self._requests, caller, per_minute, now)

    def _tokens_of(self, caller: Caller, now: float) -> _Bucket | None:
        per_minute = caller.tokens_per_minute or self._limits.tokens_per_minute
        return _bucket(self._tokens, caller, per_minute, now)


class _Bucket:
    """What is left of one limit: it fills up within a minute, and may be overdrawn."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self.level = float(per_minute)
        self._filled_at = now

    def wait_s(self, now: float) -> float:
        """How long until there is one, in whole milliseconds; 0 if there is."""
        self.level = min(self.per_minute, self.level + (now - self._filled_at) * self.per_minute / 60)
        self._filled_at = now
        return max(0.0, round((1 - self.level) * 60 / self.per_minute, 3))


def _bucket(buckets: dict[str | None, _Bucket], caller: Caller, per_minute: int | None, now: float) -> _Bucket | None:
    """The key's bucket; None where nothing limits it. One whose limit has changed is a new one."""
    if per_minute is None:
        return None
    bucket = buckets.get(caller.key_id)
    if bucket is None or bucket.per_minute != per_minute:
        bucket = buckets[caller.key_id] = _Bucket(per_minute, now)
    return bucket


def _limited(what: str, wait_s: float) -> RateLimited:
    return RateLimited(
        f"{what} a minute are allowed here, and are used up; come again in {wait_s:.3g} s",
        status=429,
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
    )
