"""The gRPC server itself: where it listens, what it stands, and how it goes down."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from xai_sdk.chat import user

from multiturn.errors import InvalidInput
from multiturn.server.settings.values import Limits
from multiturn.server.upstreams import Upstream as Place
from multiturn.server.xai import Grpc
from multiturn.turns import TurnStatus
from serving import Server
from upstream import Upstream, reply
from xai_clients import Door, async_client_of, client_of, refused


def test_a_port_that_is_taken_is_told_in_a_sentence(serve: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = serve(grpc_port=port)
        with pytest.raises(InvalidInput, match=f"cannot listen on 127.0.0.1:{port} for gRPC; choose another with"):
            server.run(Grpc().start(server.service))


def test_two_servers_do_not_share_a_port(open_door: Callable[..., Door]) -> None:
    first = open_door()
    with pytest.raises(InvalidInput, match="cannot listen"):
        open_door(grpc_port=first.port)


@pytest.mark.parametrize(("host", "at"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_it_listens_where_http_does(open_door: Callable[..., Door], host: str, at: str) -> None:
    door = open_door(host=host)
    client = client_of(f"{at}:{door.port}", use_insecure_channel=True)
    assert client.chat.create(model="m", messages=[user("My name is Bo.")]).sample().content == "Nice to meet you, Bo."
    client.close()


def test_a_client_that_pings_through_a_long_silence_is_not_hung_up_on(
    open_door: Callable[..., Door], upstream: Upstream
) -> None:
    """By default gRPC suffers two pings in five minutes without data; the SDK pings every 30 s. Clients do not ping
    more often than every second."""
    upstream.script(reply("At last.", delay_s=5.5))
    client = client_of(
        open_door(upstreams=(Place(name="u", urls=(upstream.url,)),)).host,
        channel_options=[("grpc.keepalive_time_ms", 1000), ("grpc.enable_retries", 0)],
    )
    assert client.chat.create(model="m", messages=[user("Well?")]).sample().content == "At last."
    client.close()


def test_many_streams_run_at_once(relayed: Door, upstream: Upstream) -> None:
    upstream.script(*[reply(" ".join(f"w{n}" for n in range(20)), streams=True, delay_s=0.01)] * 50)

    async def one(client: Any) -> str:
        chat = client.chat.create(model="m", messages=[user("Talk.")], store_messages=True)
        return "".join([chunk.content async for _, chunk in chat.stream()])

    async def all() -> list[str]:
        async with async_client_of(relayed.host) as client:
            return list(await asyncio.gather(*(one(client) for _ in range(50))))

    assert set(asyncio.run(all())) == {" ".join(f"w{n}" for n in range(20))}
    assert {turn.status for turn in relayed.turns()} == {TurnStatus.COMPLETED}
    assert len(relayed.turns()) == 50


def test_clients_that_leave_leave_nothing_behind(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    async def leave(client: Any, n: int) -> None:
        chat = client.chat.create(model="m", messages=[user(f"count to {1000 + n}")], store_messages=True)
        chunks = chat.stream()
        for _ in range(1 + n % 4):
            await anext(chunks, None)
        await chunks.aclose()

    async def all() -> None:
        async with async_client_of(door.host) as client:
            for begin in range(0, 100, 20):
                await asyncio.gather(*(leave(client, n) for n in range(begin, begin + 20)))

    asyncio.run(all())
    until(lambda: door.server.service.busy == 0)
    gc.collect()
    assert [record for record in caplog.records if "never retrieved" in record.getMessage()] == []
    assert not door.server.service.exchanges.running
    ends = {(turn.status, turn.reason) for turn in door.turns()}
    assert ends <= {(TurnStatus.INCOMPLETE, "interrupted"), (TurnStatus.COMPLETED, None)}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_client_that_does_not_read_makes_the_model_wait_and_no_longer_than_it_may(
    open_door: Callable[..., Door], upstream: Upstream
) -> None:
    upstream.script(reply(" ".join(["x" * 4000] * 8000), streams=True))
    door = open_door(upstreams=(Place(name="u", urls=(upstream.url,)),), limits=Limits(stream_s=2.0))
    client = client_of(door.host)
    chunks = client.chat.create(model="m", messages=[user("Talk.")], store_messages=True).stream()
    next(chunks)
    assert upstream.wait(lambda: door.turns()[0].status is TurnStatus.FAILED, within_s=10)
    assert len(door.turns()[0].text) < 20_000_000
    assert refused(lambda: list(chunks))[0] == "DEADLINE_EXCEEDED"
    client.close()


# --- going down -----------------------------------------------------------------------------------------------------


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_stream_may_end_before_the_server_does(relayed: Door, relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(reply("one two three", streams=True, delay_s=0.05))
    chunks = relayed_client.chat.create(model="m", messages=[user("Count.")], store_messages=True).stream()
    next(chunks)
    closing = in_thread(lambda: relayed.close(grace_s=5))
    *_, (response, _) = chunks
    closing.join()
    assert response.content == "one two three"
    assert relayed.turns()[0].status is TurnStatus.COMPLETED


def test_a_stream_that_takes_too_long_is_cut_and_stored_as_far_as_it_came(
    relayed: Door, relayed_client: Any, upstream: Upstream
) -> None:
    upstream.script(reply("word " * 500, streams=True, delay_s=0.02))
    chunks = relayed_client.chat.create(model="m", messages=[user("Talk.")], store_messages=True).stream()
    next(chunks)
    relayed.close(grace_s=0.1)
    assert refused(lambda: list(chunks))[0] in ("CANCELLED", "UNAVAILABLE")
    (turn,) = relayed.turns()
    assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "interrupted")
    assert turn.text.startswith("word ")
    assert upstream.wait(lambda: upstream.hung_up == 1)


def test_once_the_server_drains_nothing_begins_and_the_sdk_may_try_elsewhere(door: Door, client: Any) -> None:
    client.chat.create(model="m", messages=[user("hi")]).sample()
    door.server._loop.call_soon_threadsafe(door.server.service.draining.set)
    assert refused(client.chat.create(model="m", messages=[user("hi")]).sample)[0] == "UNAVAILABLE"


def test_what_a_drained_server_ends_is_told_as_unavailable(
    relayed: Door, relayed_client: Any, upstream: Upstream
) -> None:
    upstream.script(reply("word " * 500, streams=True, delay_s=0.02))
    chunks = relayed_client.chat.create(model="m", messages=[user("Talk.")], store_messages=True).stream()
    next(chunks)
    service = relayed.server.service
    relayed.server._loop.call_soon_threadsafe(service.draining.set)
    relayed.server._loop.call_soon_threadsafe(service.exchanges.stop)
    code, details = refused(lambda: list(chunks))
    assert (code, "the server is going down" in details) == ("UNAVAILABLE", True)
    (turn,) = relayed.turns()
    assert (turn.status, turn.error and turn.error.kind) == (TurnStatus.FAILED, "GoingDown")
