"""How a call sends the messages of a stream."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc.aio
import pytest

from multiturn.server.xai.calls import Call, _Gone


class Client:
    """The client's end of a call: it reads when it may, until it has gone."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.may = asyncio.Event()
        self.is_gone = False

    async def write(self, message: bytes) -> None:
        await self.may.wait()
        if self.is_gone:
            raise grpc.aio.UsageError("RPC already finished.")
        self.read.append(message)


def call_of(client: Any) -> Call:
    nobody: Any = None
    return Call(nobody, nobody, b"", client)


async def test_what_waits_for_the_client_goes_together_and_in_order() -> None:
    client = Client()
    call = call_of(client)
    await call.write(b"a")
    await asyncio.sleep(0)  # it is on its way
    for message in (b"b", b"c", b"d"):
        await call.write(message)
    client.may.set()
    await call.sent()
    await call.write(b"e")
    await call.sent()
    assert client.read == [b"a", b"bcd", b"e"]


async def test_whoever_writes_waits_for_a_client_that_does_not_read() -> None:
    client = Client()
    call = call_of(client)
    writing = asyncio.ensure_future(call.write(b"x" * 300_000))
    done, _ = await asyncio.wait({writing}, timeout=0.05)
    assert not done
    client.may.set()
    await writing
    assert client.read == [b"x" * 300_000]


async def test_who_writes_to_a_client_that_has_gone_learns_of_it(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    client.is_gone = True
    client.may.set()
    call = call_of(client)
    await call.write(b"a")
    await asyncio.sleep(0)
    with pytest.raises(_Gone):
        await call.write(b"b")
    await call.drop()
    unread = call_of(client)
    await unread.write(b"a")
    await asyncio.sleep(0)
    await unread.drop()
    del call, unread
    gc.collect()
    assert caplog.records == []
