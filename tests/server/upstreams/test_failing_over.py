"""Several replicas over real sockets: who is asked, what happens when one fails, and what no client is told."""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from multiturn import errors as e
from multiturn.deltas import Answer, Delta, Deltas, TextDelta
from multiturn.messages import File, Inline, Message, Origin, Reasoning, Text, user
from multiturn.models.limits import Retries
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, Settings
from multiturn.server.upstreams import ReplicaState, Route, Upstreams
from multiturn.turns import Turn, TurnStatus
from upstream import (
    Behaviour,
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
    stream,
)
from upstream import Upstream as Server
from upstream_calls import IMPATIENT, ONCE, answered, asking, behind, gpu, items

TWICE = Retries(attempts=2, base_s=0.001)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    with ExitStack() as running:
        yield [running.enter_context(Server()) for _ in range(3)]


def urls(servers: list[Server]) -> list[str]:
    return [server.url for server in servers]


def asked(servers: list[Server]) -> list[int]:
    """How many requests each has had."""
    return [len(server.requests) for server in servers]


async def home(upstreams: Upstreams, servers: list[Server], affinity: str) -> Server:
    """Whom a call with this affinity goes to."""
    before = asked(servers)
    await answered(upstreams.model("tiny", affinity=affinity))
    [changed] = [server for server, n in zip(servers, before, strict=True) if len(server.requests) > n]
    return changed


def state_of(upstreams: Upstreams, server: Server) -> ReplicaState:
    return next(state for state in upstreams.states() if state.address == server.url)


# --- affinity -------------------------------------------------------------------------------------------------------


async def test_a_tree_stays_at_its_replica_and_trees_are_spread(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers)))
    homes = {f"turn_{n}": await home(upstreams, servers, f"turn_{n}") for n in range(30)}
    assert set(homes.values()) == set(servers)
    for affinity, server in homes.items():
        assert await home(upstreams, servers, affinity) is server


def test_every_process_asks_in_the_same_order() -> None:
    replicas = behind(gpu("http://a:1/v1", "http://b:1/v1", "http://c:1/v1"))._replicas["gpu"]
    orders = [[replica.number for replica in replicas.ordered(f"turn_{n}")] for n in range(4)]
    assert orders == [[0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 2, 1]]


async def test_the_order_of_the_urls_does_not_matter(servers: list[Server]) -> None:
    first, second = behind(gpu(*urls(servers))), behind(gpu(*reversed(urls(servers))))
    for n in range(10):
        assert await home(first, servers, f"turn_{n}") is await home(second, servers, f"turn_{n}")


async def test_another_replica_more_moves_only_what_goes_to_it(servers: list[Server]) -> None:
    two, three = behind(gpu(*urls(servers[:2]))), behind(gpu(*urls(servers)))
    for n in range(20):
        now = await home(three, servers, f"turn_{n}")
        assert now in (await home(two, servers, f"turn_{n}"), servers[2])


async def test_without_affinity_calls_are_spread(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers)))
    for _ in range(9):
        await answered(upstreams.model("tiny"))
    assert asked(servers) == [3, 3, 3]


async def test_a_tree_moves_when_its_replica_dies_and_comes_back_with_it(servers: list[Server]) -> None:
    with Server() as dying:
        upstreams = behind(gpu(dying.url, *urls(servers)))
        all_four = [dying, *servers]
        homes = {f"turn_{n}": await home(upstreams, all_four, f"turn_{n}") for n in range(16)}
        assert dying in homes.values()
    moved = {affinity: await home(upstreams, servers, affinity) for affinity in homes}
    assert all(moved[affinity] is server for affinity, server in homes.items() if server is not dying)
    assert state_of(upstreams, dying).failures == 1  # only the first call had to find out
    assert not state_of(upstreams, dying).healthy
    with Server(port=dying.port) as back:
        upstreams._replicas["gpu"].all[0].health._out_until = 0  # the pause is over
        for affinity, server in homes.items():
            expected = back if server is dying else server
            assert await home(upstreams, [back, *servers], affinity) is expected
        assert state_of(upstreams, back).healthy


# --- before the first delta -----------------------------------------------------------------------------------------

FAULTS = [
    (status(500), "500"),
    (status(503, b"<html>busy</html>"), "503"),
    (status(429, headers={"retry-after": "1"}), "429"),
    (drop(), "dropped"),
    (hang(), "hangs"),
    (status(200, {"error": {"message": "no GPU", "code": 500}}), "an error with status 200"),
]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS], ids=[name for _, name in FAULTS])
async def test_what_fails_before_the_first_delta_is_asked_elsewhere(
    servers: list[Server], fault: Behaviour, streams: bool
) -> None:
    upstreams = behind(gpu(*urls(servers[:2]), timeouts=IMPATIENT))
    first = await home(upstreams, servers, "tree")
    [second] = [server for server in servers[:2] if server is not first]
    first.script(fault)
    second.script(reply("Here I am."))
    message = await answered(upstreams.model("tiny", affinity="tree"), asking(streams=streams))
    assert message.text == "Here I am."
    assert not state_of(upstreams, first).healthy  # or it rests, as it has asked for
    assert await home(upstreams, servers, "tree") is second
    assert [state.in_flight for state in upstreams.states()] == [0, 0]


async def test_an_error_that_begins_a_stream_is_asked_elsewhere(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers[:2])))
    error = sse_raw(sse({"error": {"message": "overloaded", "code": 503}}))
    (await home(upstreams, servers, "tree")).script(error)
    assert (await answered(upstreams.model("tiny", affinity="tree"))).text == "You said: hi"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(400), e.RequestRejected),
        (status(401), e.AuthenticationFailed),
        (status(404), e.ModelNotFound),
        (status(413), e.RequestTooLarge),
        (status(422), e.RequestRejected),
        (context_overflow(), e.ContextOverflow),
        (invalid_json(), e.InvalidReply),
        (raw(b"220 mail.example ESMTP\r\n"), e.InvalidReply),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), e.StreamCut),  # the answer had begun
    ],
)
async def test_what_another_replica_would_say_too_is_not_asked_elsewhere(
    servers: list[Server], fault: Behaviour, kind: type[e.ModelError]
) -> None:
    upstreams = behind(gpu(*urls(servers[:2])))
    first = await home(upstreams, servers, "tree")
    before = sum(asked(servers))
    first.script(fault)
    with pytest.raises(kind):
        await answered(upstreams.model("tiny", affinity="tree"), asking(streams=False))
    assert sum(asked(servers)) == before + 1
    assert state_of(upstreams, first).healthy is (kind is not e.StreamCut)


async def test_where_all_fail_the_error_says_when_to_come_again(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers)))
    servers[0].script(status(429, headers={"retry-after": "40"}))
    servers[1].script(status(429, headers={"retry-after": "7"}))
    servers[2].script(status(500))
    with pytest.raises(e.RateLimited) as caught:
        await answered(upstreams.model("tiny", affinity="tree"))
    assert (caught.value.retry_after_s, caught.value.status) == (7, 429)
    assert asked(servers) == [1, 1, 1]


async def test_all_are_asked_again_after_a_pause(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers[:2]), retries=TWICE))
    for server in servers[:2]:
        server.script(status(500))
    assert (await answered(upstreams.model("tiny"))).text == "You said: hi"
    assert sum(asked(servers)) == 3


async def test_who_may_be_at_work_on_it_is_not_asked_again(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers[:2]), retries=TWICE, timeouts=IMPATIENT))
    for server in servers[:2]:
        server.script(hang())
    with pytest.raises(e.FirstByteTimedOut):
        await answered(upstreams.model("tiny"))
    assert asked(servers) == [1, 1, 0]


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url, retries=TWICE))
    servers[0].script(drop(), reply("Once more."))
    assert (await answered(upstreams.model("tiny"))).text == "Once more."
    assert upstreams.states()[0].healthy
    assert upstreams.states()[0].failures == 0
    servers[0].script(*[drop()] * 4)
    with pytest.raises(e.ConnectionFailed):
        await answered(upstreams.model("tiny"))
    assert not upstreams.states()[0].healthy


async def test_a_single_replica_that_has_failed_is_asked_all_the_same(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url))
    servers[0].script(status(500))
    with pytest.raises(e.ProviderFailed):
        await answered(upstreams.model("tiny"))
    assert (await answered(upstreams.model("tiny"))).text == "You said: hi"
    assert upstreams.states()[0].healthy


# --- after it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (cut_after(2, "one ", "two "), e.StreamCut),
        (cut_after(2, "one ", "two ", reset=True), e.StreamCut),
        (hang_after(2, "one ", "two "), e.IdleTimedOut),
        (
            sse_raw(sse({"choices": [{"delta": {"content": "one "}}]}), sse({"error": {"message": "x", "code": 500}})),
            e.ProviderFailed,
        ),
        (
            sse_raw(sse({"choices": [{"delta": {"content": "one "}}]}), sse({"error": {"message": "x", "code": 429}})),
            e.RateLimited,
        ),
    ],
)
async def test_a_stream_that_has_begun_is_never_restarted(
    servers: list[Server], fault: Behaviour, kind: type[e.ModelError]
) -> None:
    upstreams = behind(gpu(*urls(servers[:2]), retries=TWICE, timeouts=IMPATIENT))
    first = await home(upstreams, servers, "tree")
    before, seen = sum(asked(servers)), list[Delta | Deltas | Notice | Answer]()
    first.script(fault)

    async def read() -> None:
        async for item in upstreams.model("tiny", affinity="tree").answer(asking()):
            seen.append(item)

    with pytest.raises(kind):
        await read()
    assert seen == [TextDelta("one ")]
    assert sum(asked(servers)) == before + 1
    assert state_of(upstreams, first).healthy is (kind is e.RateLimited)
    assert [state.in_flight for state in upstreams.states()] == [0, 0]


async def test_leaving_in_mid_stream_hangs_up_and_frees_the_slot(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url, concurrency=1))
    servers[0].script(hang_after(2))
    answer = upstreams.model("tiny").answer(asking())
    await anext(answer)
    assert upstreams.states()[0].in_flight == 1
    await answer.aclose()
    assert upstreams.states()[0].in_flight == 0
    assert upstreams.states()[0].healthy
    assert await servers[0].until(lambda: servers[0].hung_up == 1)


async def test_the_slot_is_free_before_the_answer_is_dealt_with(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url, concurrency=1, queue=0))
    async for item in upstreams.model("tiny").answer(asking()):
        if isinstance(item, Answer):
            assert upstreams.states()[0].in_flight == 0
            await answered(upstreams.model("tiny"))


# --- from one upstream to the next ----------------------------------------------------------------------------------


async def test_the_next_upstream_of_a_route_stands_in(servers: list[Server]) -> None:
    routes = [Route(match="best", to=("gpu", "spare"), model="tiny")]
    spare = gpu(servers[1].url, name="spare", provider="vllm", api="responses")
    upstreams = Upstreams(routes, [gpu(servers[0].url), spare])
    assert (await answered(upstreams.model("best"))).text == "You said: hi"
    assert asked(servers) == [1, 0, 0]
    servers[0].script(status(500))
    servers[1].script(status(500))
    with pytest.raises(e.ProviderFailed):
        await answered(upstreams.model("best"))
    assert servers[1].requests[0].path == "/v1/responses"


async def test_fields_of_one_format_are_not_sent_in_another(servers: list[Server]) -> None:
    first, second, third = urls(servers)
    upstreams = behind(gpu(first), gpu(second, name="like"), gpu(third, name="other", api="responses"))
    for server in servers:
        server.script(status(500))
    request = asking()
    settings = Settings(temperature=0.5, extra={"logit_bias": {"1": 2}})
    with pytest.raises(e.ProviderFailed):
        await answered(upstreams.model("tiny"), Request(path=Path(), input=request.input, settings=settings))
    sent = [server.requests[0].json for server in servers]
    assert [fields["temperature"] for fields in sent] == [0.5] * 3
    assert ["logit_bias" in fields for fields in sent] == [True, True, False]


async def test_a_stand_in_that_cannot_take_the_request_changes_nothing(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url, retries=TWICE), gpu(servers[1].url, name="blind", provider="xai"))
    letter = File(source=Inline(media_type="application/pdf", data=b"%PDF-"), name="a.pdf")
    request = Request(path=Path(), input=(Message(role="user", parts=(letter,)),))
    servers[0].script(status(500), status(503))
    with pytest.raises(e.ProviderFailed, match="gpu answered 503"):
        await answered(upstreams.model("tiny"), request)
    assert asked(servers) == [2, 0, 0]
    with pytest.raises(e.InvalidInput, match="cannot read file input"):
        await answered(behind(gpu(servers[1].url, provider="xai")).model("tiny"), request)


async def test_what_was_translated_is_told_once_and_for_the_one_who_answered(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers), retries=ONCE))
    parts = (Reasoning(text="hm"), Text(text="1"))
    thought = Message(role="assistant", parts=parts, origin=Origin(provider="elsewhere"))
    turn = Turn(id="t", conversation="c", status=TurnStatus.COMPLETED, input=(user("one"),), output=(thought,))
    first = await home(upstreams, servers, "tree")
    first.script(status(500))
    got = await items(
        upstreams.model("tiny", affinity="tree"), Request(path=Path([turn]), input=(user("two"),), stream=True)
    )
    assert [isinstance(item, Notice) for item in got].count(True) == 1
    assert isinstance(got[0], Notice)


# --- what clients and logs are told ---------------------------------------------------------------------------------

SECRET = "sk-very-secret-123456"


def tells(error: BaseException) -> str:
    """Everything of an error that could reach a client."""
    return f"{error} {error!r} {vars(error)}"


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "fault",
    [
        status(401, {"error": {"message": f"Incorrect API key provided: {SECRET}."}}),
        status(400, {"error": {"message": "http://ADDRESS/v1 behind 10.1.2.3:9999 on HOST"}}),
        status(500, b"<html>upstream connect error: ADDRESS</html>"),
        status(200, {"error": {"message": f"ADDRESS {SECRET}", "code": 500}}),
        status(307, headers={"location": "http://ADDRESS/v2"}),
        sse_raw(b"upstream ADDRESS is gone\n\n"),
        sse_raw(sse({"choices": [{"delta": {"content": "one "}}]}), sse({"error": {"message": "at ADDRESS"}})),
        raw(b"ADDRESS 1.1\r\n\r\n"),
        cut_after(2),
        hang(),
        hang_after(2),
        drop(),
    ],
)
async def test_no_error_shows_a_key_or_an_address(
    fault: Behaviour, streams: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GPU_KEY", SECRET)
    with Server() as server:
        upstreams = behind(gpu(server.url, key_variable="GPU_KEY", timeouts=IMPATIENT))
        server.script(_with_address(fault, f"127.0.0.1:{server.port}"))
        with pytest.raises(e.ModelError) as caught:
            await answered(upstreams.model("tiny"), asking(streams=streams))
        said = tells(caught.value)
        assert not any(word in said for word in (SECRET, "127.0.0.1", str(server.port), "10.1.2.3", "GPU_KEY"))
        assert "gpu" in said
        [record] = [record for record in caplog.records if record.name == "multiturn.server"]
        assert SECRET not in str(vars(record))
        assert record.__dict__["replica"] == server.url  # who runs the server is told
    gc.collect()


def _with_address(fault: Behaviour, address: str) -> Behaviour:
    """The fault, with this address in the place of ADDRESS."""

    async def run(exchange: object) -> None:
        transport = exchange.transport  # type: ignore[attr-defined]

        def write(data: bytes) -> None:
            put = data.replace(b"ADDRESS", address.encode()).replace(b"HOST", address.partition(":")[0].encode())
            transport.write(_mended(put) if put != data else data)

        shim = SimpleNamespace(write=write, close=transport.close, abort=transport.abort)
        exchange.transport = shim  # type: ignore[attr-defined]
        await fault(exchange)  # type: ignore[arg-type]

    return run


def _mended(data: bytes) -> bytes:
    """A message whose body has grown, with its lengths put right."""
    head, found, body = data.partition(b"\r\n\r\n")
    if found and b"content-length" in head:
        lines = [
            b"content-length: %d" % len(body) if line.startswith(b"content-length") else line
            for line in head.split(b"\r\n")
        ]
        return b"\r\n".join(lines) + found + body
    first, _, rest = data.partition(b"\r\n")
    if rest.endswith(b"\r\n") and not data.startswith(b"HTTP"):  # a chunk
        with_length = rest.removesuffix(b"\r\n")
        return b"%x\r\n%s\r\n" % (len(with_length), with_length) if _is_hex(first) else data
    return data


def _is_hex(text: bytes) -> bool:
    try:
        int(text, 16)
    except ValueError:
        return False
    return True


async def test_a_refused_connection_shows_no_address(caplog: pytest.LogCaptureFixture) -> None:
    upstreams = behind(gpu("http://127.0.0.1:9/v1"), gpu("http://nowhere:8000/v1", name="spare"))
    with pytest.raises(e.ConnectionFailed, match=r"^spare cannot be reached; try again later$") as caught:
        await answered(upstreams.model("tiny"))
    assert not any(word in tells(caught.value) for word in ("127.0.0.1", "nowhere", "8000"))
    first, second = (record.__dict__ for record in caplog.records)
    assert (first["upstream"], first["replica"], first["code"]) == ("gpu", "http://127.0.0.1:9/v1", "refused")
    assert "127.0.0.1:9" in first["reason"]
    assert (first["out_s"], second["code"]) == (1.0, "dns")


async def test_the_log_holds_nothing_of_what_was_said(servers: list[Server], caplog: pytest.LogCaptureFixture) -> None:
    upstreams = behind(gpu(servers[0].url))
    servers[0].script(status(400, {"error": {"message": "the word 'pangolin' is not allowed"}}))
    with pytest.raises(e.RequestRejected, match="pangolin"):  # the client may know: the word is its own
        await answered(upstreams.model("tiny"), asking("pangolin"))
    assert "pangolin" not in str([vars(record) for record in caplog.records])


async def test_a_replica_that_is_back_is_logged(servers: list[Server], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "multiturn.server")
    upstreams = behind(gpu(servers[0].url))
    servers[0].script(status(500))
    with pytest.raises(e.ProviderFailed):
        await answered(upstreams.model("tiny"))
    await answered(upstreams.model("tiny"))
    await answered(upstreams.model("tiny"))
    assert [record.message for record in caplog.records] == ["a call to an upstream failed", "an upstream is back"]


# --- the rest -------------------------------------------------------------------------------------------------------


async def test_connections_are_kept_and_let_go(servers: list[Server]) -> None:
    upstreams = behind(gpu(servers[0].url))
    for _ in range(3):
        await answered(upstreams.model("tiny"), asking(streams=False))
    assert servers[0].accepted == 1
    await upstreams.aclose()
    assert await servers[0].until(lambda: servers[0].open_connections == 0)
    await answered(upstreams.model("tiny"))
    await upstreams.aclose()


async def test_slow_replicas_hold_nobody_up_elsewhere(servers: list[Server]) -> None:
    upstreams = behind(gpu(*urls(servers[:2]), concurrency=4))
    slow = await home(upstreams, servers, "tree")
    slow.script(stream("a ", "b ", delay_s=0.2))
    answer = upstreams.model("tiny", affinity="tree").answer(asking())
    await anext(answer)
    others = (f"turn_{n}" for n in itertools.count())
    for affinity in itertools.islice(others, 10):
        await answered(upstreams.model("tiny", affinity=affinity))
    assert state_of(upstreams, slow).in_flight == 1
    rest = [item async for item in answer]
    assert isinstance(rest[-1], Answer)
    assert rest[-1].message.text == "a b "
