"""Everything that can go wrong between us and a provider, and the error it becomes: streamed or not, the same."""

import time
from collections.abc import Iterator

import pytest

from multiturn.deltas import Answer, Delta, Deltas, TextDelta
from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContextOverflow,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidReply,
    MalformedStream,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
    StreamCut,
)
from multiturn.messages import user
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.registry import resolve
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request
from upstream import (
    Behaviour,
    Upstream,
    context_overflow,
    cut_after,
    drop,
    hang,
    hang_after,
    invalid_json,
    raw,
    reply,
    sse,
    sse_raw,
    status,
)

SHORT = Timeouts(connect_s=1, first_byte_s=0.1, idle_s=0.1, total_s=5)
AT_ONCE = Retries(base_s=0.001)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


async def ask(url: str, *, streams: bool = False, retries: Retries = AT_ONCE) -> list[Delta | Deltas | Notice | Answer]:
    model = resolve("tiny", base_url=url, timeouts=SHORT, retries=retries)
    return [item async for item in model.answer(Request(path=Path(), input=(user("hi"),), stream=streams))]


def event(text: str) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"content": text}}]})


MALFORMED = sse_raw(event("one "), b"data: {not json\n\n")
ERROR_IN_STREAM = sse_raw(event("one "), sse({"error": {"message": "overloaded", "code": 503}}))


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (status(400), RequestRejected, "the script says 400"),
        (status(401), AuthenticationFailed, "the script says 401"),
        (status(403), AuthenticationFailed, "the script says 403"),
        (status(404), ModelNotFound, "the script says 404"),
        (status(413), RequestTooLarge, "the script says 413"),
        (status(422), RequestRejected, "the script says 422"),
        (status(429, headers={"retry-after": "3600"}), RateLimited, "the script says 429"),
        (context_overflow(), ContextOverflow, "maximum context length is 8192"),
        (status(307, headers={"location": "https://elsewhere.example/v1"}), ModelNotFound, "https://elsewhere.example/v1"),
        (hang(), FirstByteTimedOut, "within 0.1 s"),
        (invalid_json(), InvalidReply, "cannot be read"),
        (status(200, b"<html>Sign in</html>", {"content-type": "text/html"}), InvalidReply, "Sign in"),
        (status(200, b"[]"), InvalidReply, "cannot be read"),
        (status(200, {"choices": []}), InvalidReply, "no choices"),
        (status(200, {"error": {"message": "no GPU", "code": 500}}), ProviderFailed, "no GPU"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), StreamCut, "broke in the middle"),
        (raw(b"220 mail.example ESMTP\r\n"), InvalidReply, "does not speak HTTP"),
    ],
)  # fmt: skip
async def test_a_fault_is_not_tried_again(
    upstream: Upstream, streams: bool, fault: Behaviour, kind: type[ModelError], says: str
) -> None:
    upstream.script(fault)
    with pytest.raises(kind, match=says) as caught:
        await ask(upstream.url, streams=streams)
    assert (caught.value.provider, caught.value.model) == ("127.0.0.1", "tiny")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (hang_after(2), IdleTimedOut, "fell silent"),
        (cut_after(2), StreamCut, "broke in the middle"),
        (cut_after(2, reset=True), StreamCut, "broke in the middle"),
        (sse_raw(event("one ")), StreamCut, "ended before the answer did"),
        (MALFORMED, MalformedStream, "cannot be read"),
        (sse_raw(b"upstream connect error\n"), MalformedStream, "upstream connect error"),
        (sse_raw(b"data: " + b"\xff\xfe" * 40 + b"\n\n"), MalformedStream, "cannot be read"),
        (sse_raw(), StreamCut, "ended before the answer did"),
        (ERROR_IN_STREAM, ProviderFailed, "overloaded"),
    ],
)
async def test_a_fault_in_mid_stream(upstream: Upstream, fault: Behaviour, kind: type[ModelError], says: str) -> None:
    upstream.script(fault)
    with pytest.raises(kind, match=says) as caught:
        await ask(upstream.url, streams=True)
    assert type(caught.value) is kind
    assert (caught.value.provider, caught.value.model) == ("127.0.0.1", "tiny")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("fault", [hang_after(2, "one "), cut_after(2, "one "), MALFORMED, ERROR_IN_STREAM])
async def test_what_had_arrived_before_a_fault_was_passed_on(upstream: Upstream, fault: Behaviour) -> None:
    upstream.script(fault)
    model = resolve("tiny", base_url=upstream.url, timeouts=SHORT)
    seen: list[Delta | Deltas | Notice | Answer] = []

    async def read() -> None:
        async for item in model.answer(Request(path=Path(), input=(user("hi"),), stream=True)):
            seen.append(item)

    with pytest.raises(ModelError):
        await read()
    assert seen == [TextDelta("one ")]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(status(429), RateLimited), (status(500), ProviderFailed), (drop(), ConnectionFailed)],
)
async def test_a_fault_that_may_pass_is_tried_three_times(
    upstream: Upstream, streams: bool, fault: Behaviour, kind: type[ModelError]
) -> None:
    upstream.script(fault, fault, reply("Here I am."))
    items = await ask(upstream.url, streams=streams)
    assert isinstance(items[-1], Answer)
    assert items[-1].message.text == "Here I am."
    upstream.script(fault, fault, fault)
    with pytest.raises(kind):
        await ask(upstream.url, streams=streams)
    assert len(upstream.requests) == 6


async def test_rate_limited_for_a_moment_we_wait(upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after": "0.1"}))
    began = time.monotonic()
    await ask(upstream.url)
    assert time.monotonic() - began >= 0.1


async def test_rate_limited_for_an_hour_we_say_so(upstream: Upstream) -> None:
    upstream.script(status(429, headers={"retry-after": "3600"}))
    with pytest.raises(RateLimited) as caught:
        await ask(upstream.url)
    assert caught.value.retry_after_s == 3600
    assert caught.value.status == 429


async def test_an_error_whose_text_never_comes_is_still_an_error(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiturn.models.remote.ERROR_BODY_S", 0.05)
    upstream.script(raw(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\n{", then_close=False))
    with pytest.raises(RequestRejected):
        await ask(upstream.url)


async def test_after_every_fault_the_model_answers_again(upstream: Upstream) -> None:
    faults = [status(500), hang(), hang_after(1), cut_after(1), invalid_json(), MALFORMED, drop(), context_overflow()]
    model = resolve("tiny", base_url=upstream.url, timeouts=SHORT, retries=Retries(attempts=1))
    for fault in faults:
        upstream.script(fault, reply("Still here."))
        request = Request(path=Path(), input=(user("hi"),), stream=True)
        with pytest.raises(ModelError):
            [item async for item in model.answer(request)]
        [*_, answer] = [item async for item in model.answer(request)]
        assert isinstance(answer, Answer)
        assert answer.message.text == "Still here."
    assert await upstream.until(lambda: upstream.open_connections <= 1)
