"""How connections are taken."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
import uvloop

from multiturn.server.listening import Listening


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
