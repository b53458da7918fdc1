"""Turns that run in the background, in SQL: followed, asked to stop, taken over."""

from __future__ import annotations

import time
from collections.abc import Callable

from multiturn.deltas import Draft
from multiturn.stores.following import RunBy, Stretch, not_in_background, not_kept
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import background, locks, reading
from multiturn.stores.sqlite.locks import IsGone
from multiturn.stores.sqlite.places import turn_key
from multiturn.stores.sqlite.runners import Runner
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn, TurnStatus

_PIECES_AT_ONCE = 256
_LOOK_AT_RUNNER_S = 1.0

EVERY_S: dict[RunBy, float] = {"here": 2.0, "elsewhere": 0.05, "gone": 0.05, "awaited": 0.2}
"""How often a follower looks: where the turn runs in this process, its writes wake it."""

_HOLDER = """
  SELECT r.runner FROM turns t JOIN running r ON r.conversation = t.conversation AND r.turn = t.key WHERE t.key = ?
"""


def following(seal: Seal, tenant: str, id: str, own: Runner) -> Callable[[Connection, int], Stretch]:
    """What reads a stretch for one follower: the drafts behind a piece, and who runs the turn. `own` is this store's
    runner; whether another one is gone costs a look at the disk, so that it is asked now and then only."""
    looked_at = 0.0

    def read(db: Connection, last: int) -> Stretch:
        nonlocal looked_at
        key = turn_key(db, tenant, id)
        if db.execute("SELECT 1 FROM background WHERE turn = ?", (key,)).fetchone() is None:
            raise not_kept(id)
        drafts, last, more = _drafts(db, seal, id, key, last)
        held = db.execute(_HOLDER, (key,)).fetchone()
        if held is None:
            return Stretch(drafts, last, more, None if more else reading.at(db, seal, key), "here")
        run_by: RunBy = "here" if own.runs(held[0]) else "elsewhere"
        if run_by == "elsewhere" and time.monotonic() - looked_at > _LOOK_AT_RUNNER_S:
            if own.is_gone(held[0]):
                run_by = "awaited" if background.is_awaited(db, key) else "gone"
            else:
                looked_at = time.monotonic()
        return Stretch(drafts, last, more, None, run_by)

    return read


def _drafts(db: Connection, seal: Seal, id: str, key: int, last: int) -> tuple[tuple[Draft, ...], int, bool]:
    """The drafts behind a piece, the last piece that they are of, and whether there are more."""
    pieces = db.execute(
        "SELECT position, body FROM deltas WHERE turn = ? AND position > ? ORDER BY position LIMIT ?",
        (key, last, _PIECES_AT_ONCE),
    ).fetchall()
    drafts = locks.opened(seal, id, [body for _, body in pieces])
    return drafts, pieces[-1][0] if pieces else last, len(pieces) == _PIECES_AT_ONCE


def close_left(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> None:
    """End the turn, if it should run and its runner is gone."""
    key = turn_key(db, tenant, id)
    held = db.execute(_HOLDER, (key,)).fetchone()
    if held is not None and is_gone(held[0]):
        locks.close_crashed(db, seal, key)


def cancel(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> Turn:
    """Ask whoever runs the turn to stop. See `LiveStore.cancel`."""
    key = turn_key(db, tenant, id)
    turn = reading.at(db, seal, key)
    if not turn.background:
        raise not_in_background(id)
    if turn.status is not TurnStatus.IN_PROGRESS:
        return turn
    db.execute("UPDATE background SET cancelled = 1 WHERE turn = ?", (key,))
    close_left(db, seal, tenant, id, is_gone)
    return reading.at(db, seal, key)


def cancelled(db: Connection, is_own: Callable[[str], bool]) -> frozenset[str]:
    """The turns that this store's runner runs and that were asked to stop."""
    found = db.execute(
        """SELECT t.id, r.runner FROM background b JOIN turns t ON t.key = b.turn
           JOIN running r ON r.conversation = t.conversation AND r.turn = t.key
           WHERE b.ended_at IS NULL AND b.cancelled = 1"""
    )
    return frozenset(id for id, runner in found if is_own(runner))


def take(
    db: Connection, seal: Seal, runner: str, is_gone: IsGone, can: Callable[[Turn], bool]
) -> tuple[str, Turn] | None:
    """Let this runner run a turn that nobody runs any more. See `LiveStore.take`."""
    left = db.execute(
        f"""SELECT r.conversation, r.turn, r.runner, t.tenant
            FROM running r CROSS JOIN background b ON b.turn = r.turn JOIN turns t ON t.key = r.turn
            WHERE r.runner <> ? AND {background.AWAITED} ORDER BY t.id""",
        (runner,),
    ).fetchall()
    alive = set[str]()
    for conversation, key, holder, tenant in left:
        if holder in alive:
            continue
        if not is_gone(holder):
            alive.add(holder)
        elif can(turn := reading.at(db, seal, key)):
            db.execute("UPDATE running SET runner = ? WHERE conversation = ?", (runner, conversation))
            return tenant, turn
    return None
