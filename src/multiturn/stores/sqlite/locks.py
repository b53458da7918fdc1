"""Who runs a turn on a conversation. A row in `running` is the lock; whoever finds one whose runner is gone closes the
turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from multiturn.deltas import Draft
from multiturn.errors import ConversationBusy, NotFound
from multiturn.stores.crashes import crashed
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, conversations, reading, writing
from multiturn.stores.sqlite.places import parent_of
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Totals

IsGone = Callable[[str], bool]

_decode_drafts = msgspec.json.Decoder(tuple[Draft, ...]).decode


def free(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> conversations.Row | None:
    """The conversation, on which no turn runs; None if there is none. Raises `ConversationBusy`."""
    row = conversations.find(db, tenant, id)
    if row is None or row.running is None or row.runner is None:
        return row
    if not is_gone(row.runner):
        raise ConversationBusy(id)
    close_crashed(db, seal, row.running)
    return conversations.find(db, tenant, id)


def unlocked(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> conversations.Row:
    """The same. Raises `NotFound`, too."""
    row = free(db, seal, tenant, id, is_gone)
    if row is None:
        raise NotFound("conversation", id)
    return row


def recover(db: Connection, seal: Seal, is_gone: IsGone) -> None:
    """Close every turn whose runner is gone, but for those that somebody may take over."""
    running = db.execute("SELECT turn, runner FROM running").fetchall()
    gone = {runner for runner in {runner for _, runner in running} if is_gone(runner)}
    for key, runner in running:
        if runner in gone and not background.is_awaited(db, key):
            close_crashed(db, seal, key)


def close_crashed(db: Connection, seal: Seal, key: int) -> None:
    """End a turn whose runner is gone, with what it had streamed."""
    turn = reading.at(db, seal, key)
    bodies = db.execute("SELECT body FROM deltas WHERE turn = ? ORDER BY position", (key,)).fetchall()
    drafts = opened(seal, turn.id, [body for (body,) in bodies])
    cancelled = turn.background and background.is_cancelled(db, key)
    above = parent_of(db, key)
    before = Totals() if above is None else reading.at(db, seal, above).totals
    ((conversation,),) = db.execute("DELETE FROM running WHERE turn = ? RETURNING conversation", (key,)).fetchall()
    closed = crashed(turn, drafts, before=before, at=time.time(), cancelled=cancelled)
    writing.close(db, seal, key, conversation, closed)


def opened(seal: Seal, turn_id: str, bodies: Iterable[bytes]) -> tuple[Draft, ...]:
    """The drafts in these pieces of a turn."""
    about = turn_id.encode()
    return tuple(draft for body in bodies for draft in _decode_drafts(seal.open(body, about)))
