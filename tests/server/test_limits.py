"""How much one request may be, and how much one key may ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from multiturn.errors import InvalidInput, RateLimited, RequestTooLarge
from multiturn.server.auth import Caller
from multiturn.server.limits import Rates, check_depth, check_items, check_size, read_body
from multiturn.server.settings import Limits

SMALL = Limits(body_bytes=1000, depth=5)


def request(*pieces: bytes, **headers: str) -> Request:
    """A request whose body comes in these pieces; one more than that must not be asked for."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return waiting.pop(0)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": named}, receive)


# --- one request ----------------------------------------------------------------------------------------------------


async def test_a_body_is_put_together() -> None:
    assert await read_body(request(b'{"a"', b":1}", content_length="7"), SMALL) == b'{"a":1}'
    assert await read_body(request(b"x" * 1000), SMALL) == b"x" * 1000


@pytest.mark.parametrize(
    "sent",
    [
        request(content_length="1001"),  # before any of it is read
        request(b"x" * 600, b"x" * 600),
        request(b"x" * 600, b"x" * 600, content_length="7"),
        request(b"x" * 1001, content_length="-1"),
    ],
)
async def test_a_body_that_is_too_long_is_refused(sent: Request) -> None:
    with pytest.raises(RequestTooLarge, match="longer than 1,000 bytes") as refused:
        await read_body(sent, SMALL)
    assert refused.value.status == 413


async def test_no_more_is_read_than_is_taken() -> None:
    sent = request(*[b"x" * 600] * 10)
    with pytest.raises(RequestTooLarge):
        await read_body(sent, SMALL)
    assert len([piece async for piece in sent.stream()]) == 9  # 8 more of them, and the end


async def test_a_compressed_body_is_not_unpacked() -> None:
    with pytest.raises(InvalidInput, match="compressed"):
        await read_body(request(b"\x1f\x8b", content_encoding="gzip"), SMALL)


async def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    await read_body(request(b"[" * 5 + b"]" * 5), SMALL)
    with pytest.raises(InvalidInput, match="nested more than 5 deep"):
        await read_body(request(b"[" * 6 + b"]" * 6), SMALL)


def test_a_message_of_a_socket_has_the_same_limits() -> None:
    check_size(b"x" * 1000, SMALL)
    with pytest.raises(RequestTooLarge):
        check_size(b"x" * 1001, SMALL)
    with pytest.raises(InvalidInput, match="deep"):
        check_size(b"[" * 6, SMALL)


def test_a_request_holds_so_many_items() -> None:
    check_items(10_000, Limits())
    with pytest.raises(InvalidInput, match=r"holds 10,001 items, and may hold 10,000"):
        check_items(10_001, Limits())


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\/né\u2028') | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[]{}"\\ab'), inner, max_size=3),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if within is None else 1 + max(map(depth_of, within), default=0)


@settings(max_examples=200)
@given(VALUES, st.booleans())
def test_depth_is_that_of_the_json_and_not_of_the_texts_in_it(value: object, plain: bool) -> None:
    body = json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    depth = depth_of(value)
    check_depth(body, depth)
    if depth:
        with pytest.raises(InvalidInput):
            check_depth(body, depth - 1)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[]" * 3_000_000,
        b'["",' + b'"",' * 2_000_000 + b"[[[[[[",
        (b"[" * 101 + b"]" * 101) * 10_000,
    ],
)
def test_a_hostile_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        check_depth(body, 5)


@pytest.mark.parametrize("body", [b"", b"]]]]]]]]", b'"[[[[[[[[', b"\\\\\\[[[", b"\xff\xfe[[", b'"' * 9])
def test_what_is_no_json_is_left_to_its_format(body: bytes) -> None:
    check_depth(body, 5)


# --- many requests --------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


ONE, OTHER = Caller("acme", "key_1", 60, None), Caller("acme", "key_2", 60, None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(rates: Rates, caller: Caller) -> RateLimited:
    with pytest.raises(RateLimited) as error:
        rates.take(caller)
    assert error.value.status == 429
    return error.value


def test_a_key_makes_so_many_requests_a_minute(clock: Clock) -> None:
    rates = Rates(clock=clock)
    for _ in range(60):
        rates.take(ONE)
    error = refused(rates, ONE)
    assert str(error) == "60 requests a minute are allowed here, and are used up; come again in 1 s"
    assert error.retry_after_s == 1
    rates.take(OTHER)
    clock.now += error.retry_after_s
    rates.take(ONE)
    refused(rates, ONE)
    clock.now += 3600  # no more than a minute's is saved up
    for _ in range(60):
        rates.take(ONE)
    refused(rates, ONE)


def test_what_was_refused_is_not_counted(clock: Clock) -> None:
    rates = Rates(clock=clock)
    for _ in range(60):
        rates.take(ONE)
    for _ in range(1000):
        refused(rates, ONE)
    clock.now += 1
    rates.take(ONE)


def test_tokens_are_counted_when_they_are_known_and_waited_for_afterwards(clock: Clock) -> None:
    caller = Caller("acme", "key_1", None, 600)
    rates = Rates(clock=clock)
    rates.take(caller)
    rates.spend(caller, 1200)
    error = refused(rates, caller)
    assert "600 tokens a minute" in str(error)
    assert error.retry_after_s == pytest.approx(60.1)
    clock.now += 60.1
    rates.take(caller)


def test_a_request_refused_for_its_tokens_costs_no_request(clock: Clock) -> None:
    caller = Caller("acme", "key_1", 1, 600)
    rates = Rates(clock=clock)
    rates.spend(caller, 600)
    assert "tokens" in str(refused(rates, caller))
    clock.now += 1
    rates.take(caller)
    assert "requests" in str(refused(rates, caller))


def test_a_key_without_limits_has_those_of_the_settings(clock: Clock) -> None:
    rates = Rates(Limits(requests_per_minute=2, tokens_per_minute=10), clock=clock)
    own, bare, nobody = Caller("a", "key_1", 3, None), Caller("a", "key_2"), Caller()
    for caller, many in ((own, 3), (bare, 2), (nobody, 2)):
        for _ in range(many):
            rates.take(caller)
        refused(rates, caller)
    rates.spend(bare, 11)
    assert "tokens" in str(refused(rates, bare))


def test_without_limits_nothing_is_counted(clock: Clock) -> None:
    rates = Rates(clock=clock)
    for _ in range(1000):
        rates.take(Caller())
        rates.spend(Caller(), 10**9)


def test_a_limit_that_has_changed_counts_at_once(clock: Clock) -> None:
    rates = Rates(clock=clock)
    rates.take(Caller("a", "key_1", 1))
    refused(rates, Caller("a", "key_1", 1))
    rates.take(Caller("a", "key_1", 2))
