"""`xai_api.Chat`, but for what is deferred or compacted: completions, whole and in chunks, and those that are stored.

Of several answers to one request (`n`), each is stored; whatever goes on from them goes on from the first."""

from __future__ import annotations

from contextlib import aclosing

from multiturn.errors import NotFound
from multiturn.formats.xai.outgoing import StreamEncoder, encode_reply
from multiturn.formats.xai.served import encode_deleted, read_stored
from multiturn.server.histories import Histories
from multiturn.server.xai.asking import begun, wanted
from multiturn.server.xai.calls import Call
from multiturn.server.xai.shown import DIALECT, is_stored, reply_of, turn_of, withdraw


class Chat:
    """The methods; `histories` are those that clients keep themselves and send whole each time."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories

    async def completion(self, call: Call) -> bytes:
        """`GetCompletion`."""
        asked, settings, encrypted = await wanted(call, stream=False)
        replayed = await begun(call, asked, self._histories)
        exchange = replayed.exchange
        turn = await exchange.ended()
        replayed.keep()
        assert exchange.answer is not None
        return encode_reply(
            exchange.answer,
            id=exchange.id,
            created=int(turn.created_at),
            model=asked.model,
            dialect=DIALECT,
            usage=turn.usage,
            request=settings,
            encrypted=encrypted,
        )

    async def chunks(self, call: Call) -> bytes:
        """`GetCompletionChunk`."""
        asked, _, encrypted = await wanted(call, stream=True)
        replayed = await begun(call, asked, self._histories)
        exchange, created = replayed.exchange, int(replayed.exchange.turn.created_at)
        encoder = StreamEncoder(
            id=exchange.id, created=created, model=asked.model, dialect=DIALECT, encrypted=encrypted
        )
        async with aclosing(exchange.deltas()) as deltas:
            async for pieces in deltas:
                for chunk in filter(None, map(encoder.encode, pieces)):
                    await call.write(chunk)
        replayed.keep()
        assert exchange.answer is not None
        await call.write(encoder.finish(exchange.answer, exchange.turn.usage))
        return b""

    async def stored(self, call: Call) -> bytes:
        """`GetStoredCompletion`: any turn that has ended."""
        id = read_stored(call.body)
        turn = await turn_of(call, id)
        if not is_stored(turn):
            raise NotFound("response", id)
        return reply_of(turn)

    async def delete(self, call: Call) -> bytes:
        """`DeleteStoredCompletion`."""
        id = read_stored(call.body)
        await withdraw(call, await turn_of(call, id))
        return encode_deleted(id)
