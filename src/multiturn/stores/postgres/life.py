"""A turn's life in SQL: begun, finished; and heads that are moved by hand. What it streams, `runners` keeps."""

from __future__ import annotations

import time

import msgspec

from multiturn.errors import ConversationBusy, NotFound, StoreError
from multiturn.stores import rows
from multiturn.stores.days import day_of
from multiturn.stores.postgres import background, conversations, locks, places, reading, writing
from multiturn.stores.postgres.runners import Mine, Runner
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.records import ConversationRecord, Head
from multiturn.turns import Turn, check_reopens

_ATTEMPTS = 10

_BEGIN = """SELECT * FROM begin_turn(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)"""


async def begin(
    db: Session, runner: Runner, turn: Turn, *, parent: str | Head | None, new: ConversationRecord, key: str | None
) -> Turn:
    """Write a new turn and take the lock on its conversation. See `Store.begin`."""
    # Before it is written: a row of ours that is not in here is left over.
    mine = runner.turns[db.tenant, turn.id] = Mine(background=turn.background)
    begun = False
    try:
        for _ in range(_ATTEMPTS):
            outcome = await _begin(db, runner, mine, turn, parent, new, key)
            if outcome is not None:
                begun = outcome.id == turn.id
                return outcome
        raise StoreError(f"turn {turn.id!r} cannot begin: its conversation does not come to rest")
    finally:
        if not begun:
            del runner.turns[db.tenant, turn.id]


async def _begin(
    db: Session,
    runner: Runner,
    mine: Mine,
    turn: Turn,
    parent: str | Head | None,
    new: ConversationRecord,
    key: str | None,
) -> Turn | None:
    """The turn, begun, or the one that was answered under this key; None if that is to be tried again."""
    mine.number = await runner.number()
    row = rows.to_row(turn, db.seal.digest)
    mine.attached = frozenset(row.attachments)
    above = None if isinstance(parent, Head) else parent
    values = (
        turn.conversation,
        new.user,
        conversations.encoded(new.metadata),
        new.kind,
        turn.id,
        isinstance(parent, Head),
        above,
        key,
        mine.number,
        time.time(),
        turn.created_at,
        day_of(turn.created_at),
        turn.status,
        turn.model,
        *writing.text(db.seal, turn.instructions),
        *writing.text(db.seal, row.asked),
        db.seal.seal(row.body, turn.id.encode()),
        *writing.attachments(db.seal, row),
    )
    made = await (_begin_in_background(db, turn, values) if turn.background else db.row(_BEGIN, *values))
    assert made is not None
    return await _outcome(db, runner, mine, turn, above, made)


async def _begin_in_background(db: Session, turn: Turn, values: tuple[object, ...]) -> Record | None:
    async with db.transaction():
        made = await db.row(_BEGIN, *values)
        if made is not None and made["_outcome"] in ("begun", "again"):
            await background.begun(db, turn.id)
        return made


async def _outcome(db: Session, runner: Runner, mine: Mine, turn: Turn, above: str | None, made: Record) -> Turn | None:
    match made["_outcome"]:
        case "begun":
            return msgspec.structs.replace(turn, parent=made["_above"])
        case "again":
            return await reading.turn(db, turn.id)
        case "answered":
            return await reading.turn(db, made["_other"])
        case "no parent":
            raise NotFound("turn", above or "")
        case "lost":
            await runner.drop(mine.number)
        case "busy" if not runner.has_left(db.tenant, made["_other"], made["_holder"]):
            raise ConversationBusy(turn.conversation)
        case _:
            await locks.close_crashed(db, made["_other"], made["_holder"])
    return None


async def reopen(db: Session, runner: Runner, id: str) -> Turn:
    """Set a turn in progress again. See `Store.reopen`."""
    async with db.transaction():
        place = await places.hold_tree_of_turn(db, id)
        conversation = (await reading.turn(db, id)).conversation
        await locks.refuse_while_running(db, runner, place.tree, conversation)
        latest = await db.value(
            """SELECT turn_at(tenant, tree, latest_branch, latest_position) FROM conversations
               WHERE tenant = $1 AND tree = $2 AND id = $3""",
            place.tree,
            conversation,
        )
        turn = check_reopens(await reading.turn(db, id), is_latest=latest == id)
        mine = Mine(background=turn.background)
        mine.number = await runner.number()
        where = "tenant = $1 AND tree = $2 AND branch = $3 AND position = $4"
        await db.run(f"DELETE FROM said WHERE {where}", *place)
        body = db.seal.seal(rows.to_row(turn, db.seal.digest).body, id.encode())  # without words that failed
        await db.run(
            f"UPDATE turns SET status = $5, answered = false, body = $6 WHERE {where}", *place, turn.status, body
        )
        await db.run(
            """INSERT INTO running (tenant, tree, conversation, branch, position, runner)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            place.tree,
            conversation,
            place.branch,
            place.position,
            mine.number,
        )
        if turn.background:
            mine.pieces = await background.reopened(db, place, id)
        runner.turns[db.tenant, id] = mine
    return turn


async def finish(db: Session, runner: Runner, turn: Turn) -> None:
    """Write the ended turn, give the lock back, move the head. See `Store.finish`."""
    mine = runner.turns.get((db.tenant, turn.id)) or Mine()
    if turn.background:
        await runner.written()  # for those who follow it
    try:
        if not await writing.finish(db, turn, mine.number, mine.attached):
            await places.find_turn(db, turn.id)
            raise ConversationBusy(turn.conversation)
    except BaseException:
        mine.ended = True  # if nobody tries again, the next to come may close it
        raise
    runner.turns.pop((db.tenant, turn.id), None)


async def move_head(db: Session, runner: Runner, id: str, head: str | None) -> None:
    async with db.transaction():
        tree = await places.hold_tree(db, id)
        await locks.refuse_while_running(db, runner, tree, id)
        place = None if head is None else await places.find_turn(db, head, tree)
        await db.run(
            """UPDATE conversations SET head_branch = $4, head_position = $5, latest_branch = $4, latest_position = $5,
               updated_at = $6 WHERE tenant = $1 AND tree = $2 AND id = $3""",
            tree,
            id,
            place and place.branch,
            place and place.position,
            time.time(),
        )
