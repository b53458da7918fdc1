"""Deferred completions: begun by one call, fetched by another.

One that is not to be stored (`store_messages`) is kept until it has been fetched, once, or for a day, as xAI does:
https://docs.x.ai/docs/guides/deferred-chat-completions."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from multiturn.errors import ConversationBusy, MultiturnError, NotFound
from multiturn.formats.xai.failures import encode_fault
from multiturn.formats.xai.served import encode_deferred, encode_started, read_deferred
from multiturn.server.auth import Caller
from multiturn.server.exchange import Exchange, Exchanges
from multiturn.server.histories import Histories
from multiturn.server.xai.asking import DEFERRED, asked_again, begun, wanted
from multiturn.server.xai.calls import Call, Failed
from multiturn.server.xai.shown import is_told_once, reply_of, turn_of, withdraw
from multiturn.stores.base import Store
from multiturn.stores.records import Cursor, Filter
from multiturn.turns import Turn, TurnStatus, answered

KEPT_S = 24 * 3600.0
"""How long what nobody fetches is kept."""
LOOK_EVERY_S = 3600.0
_LOOK_BACK_S = 7 * 24 * 3600.0  # at first; what was left while no node ran for longer goes with `multiturn gc`
_AT_ONCE = 100
_log = logging.getLogger("multiturn.server")


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
            await _delete(call.store, turn.conversation)
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


async def resume(exchanges: Exchanges, caller: Caller, turn: Turn) -> Exchange:
    """The exchange of a deferred completion that another node has left. Raises `UnknownModel`, and `InvalidInput` for
    what its model cannot do any more."""
    return await exchanges.resumed(asked_again(exchanges.upstreams, turn), caller, turn)


# --- what nobody fetches --------------------------------------------------------------------------------------------


async def forget_unfetched(store: Store) -> None:
    """Every hour, let go of what was to be fetched and was not, until it is cancelled."""
    since = time.time() - KEPT_S - _LOOK_BACK_S
    while True:
        until = time.time() - KEPT_S
        try:
            for tenant in await store.tenants():
                await _forget(store.tenant(tenant), since, until)
            since = until
        except MultiturnError as error:
            _log.warning("deferred completions could not be looked over: %s", error)
        await asyncio.sleep(LOOK_EVERY_S)


async def _forget(store: Store, since: float, until: float) -> None:
    """Delete those that have ended between these times."""
    due, last = Filter(kind=DEFERRED, since=since, until=until), None
    while records := await store.conversations(filter=due, limit=_AT_ONCE, after=last):
        for record in records:
            await _delete(store, record.id)
        last = Cursor(records[-1].updated_at, records[-1].id)


async def _delete(store: Store, conversation: str) -> None:
    """Delete the conversation that such a completion has for itself."""
    if conversation.startswith(f"{DEFERRED}_"):
        with suppress(NotFound, ConversationBusy):
            await store.delete(conversation)
