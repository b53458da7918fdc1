"""Deferred completions: begun by one call, fetched by another.

One that is not to be stored (`store_messages`) is kept until it has been fetched, once, as xAI does:
https://docs.x.ai/docs/guides/deferred-chat-completions."""

from __future__ import annotations

from multiturn.formats.xai.failures import encode_fault
from multiturn.formats.xai.served import encode_deferred, encode_started, read_deferred
from multiturn.server.auth import Caller
from multiturn.server.exchange import Exchange, Exchanges
from multiturn.server.histories import Histories
from multiturn.server.xai.asking import asked_again, begun, wanted
from multiturn.server.xai.calls import Call, Failed
from multiturn.server.xai.shown import is_told_once, reply_of, turn_of, withdraw
from multiturn.turns import Turn, TurnStatus, answered


class Deferred:
    """The methods; `histories` as in `Chat`."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories

    async def start(self, call: Call) -> bytes:
        """`StartDeferredCompletion`."""
        asked, _, _ = await wanted(call, stream=True, deferred=True)
        replayed = await begun(call, asked, self._histories)
        call.service.background.start(replayed.exchange, replayed.keep)
        return encode_started(replayed.exchange.id)

    async def fetch(self, call: Call) -> bytes:
        """`GetDeferredCompletion`. The SDK does not know that one may fail, so that is told as an error."""
        turn = await turn_of(call, read_deferred(call.body))
        if turn.status is TurnStatus.IN_PROGRESS:
            return encode_deferred(None)
        if is_told_once(turn):
            await withdraw(call, turn)
        if failed := _failure(turn):
            raise failed
        return encode_deferred(reply_of(turn))


def _failure(turn: Turn) -> Failed | None:
    if turn.status is TurnStatus.FAILED and turn.error is not None:
        return Failed(*encode_fault(turn.error.kind, turn.error.message))
    if turn.status is not TurnStatus.INCOMPLETE or answered(turn):
        return None
    if turn.reason == "crashed":
        return Failed("ABORTED", "The server went down before this answer had ended; ask again.")
    return Failed("CANCELLED", "This answer was stopped before it had ended.")


async def resume(exchanges: Exchanges, caller: Caller, turn: Turn) -> Exchange | None:
    """The exchange of a deferred completion that another node has left; None where the turn is none. Raises
    `UnknownModel`, and `InvalidInput` for what its model cannot do any more."""
    asked = asked_again(exchanges.upstreams, turn)
    return None if asked is None else await exchanges.resumed(asked, caller, turn)
