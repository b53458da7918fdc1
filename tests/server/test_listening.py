"""How connections are taken and written to."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import uvicorn
import uvloop

from multiturn.server.listening import Listening, _Joining


async def _nothing(scope: object, receive: object, send: object) -> None: ...


def test_many_connections_are_taken_in_a_round_of_the_event_loop() -> None:
    """With one listening socket it would be one; who comes to a busy server waits for a round many times then."""

    async def rounds_for(count: int) -> int:
        server = Listening(uvicorn.Config(_nothing, port=0, lifespan="off", log_config=None))
        running = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        place = server.servers[0].sockets[0].getsockname()
        clients = [socket.create_connection(place) for _ in range(count)]
        rounds = 0
        while len(server.server_state.connections) < count:
            await asyncio.sleep(0)
            rounds += 1
        for client in clients:
            client.close()
        server.should_exit = True
        await running
        return rounds

    assert uvloop.run(rounds_for(64)) < 32


class Wire:
    """The part of a transport that is written to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True


async def test_a_head_goes_out_with_the_beginning_of_its_body_and_else_by_itself() -> None:
    wire = Wire()
    joining = _Joining(cast(Any, wire))
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    joining.write(head)
    assert wire.written == []
    joining.write(b"one")
    joining.write(b"two")
    await asyncio.sleep(0)
    assert wire.written == [head + b"one", b"two"]
    joining.write(head)  # of a stream that has nothing to say yet
    await asyncio.sleep(0)
    assert wire.written[2:] == [head]
    joining.write(head)
    joining.close()
    await asyncio.sleep(0)
    assert wire.written[3:] == [head]
    assert wire.is_closed
