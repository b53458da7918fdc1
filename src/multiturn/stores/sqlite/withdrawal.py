"""One turn let go in SQL, and what follows it left: it is not found any more, and goes when nobody follows it."""

from __future__ import annotations

from multiturn.errors import ConversationBusy
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import deletion, locks
from multiturn.stores.sqlite.locks import IsGone
from multiturn.stores.sqlite.places import has_children, tree_of, turn_key
from multiturn.stores.sqlite.schema import Connection


def withdraw(db: Connection, seal: Seal, tenant: str, id: str, is_gone: IsGone) -> None:
    """See `LiveStore.withdraw`."""
    key = turn_key(db, tenant, id)
    _refuse_while_running(db, seal, key, is_gone)
    if not has_children(db, key):
        deletion.delete_turn(db, seal, tenant, id)
        return
    deletion.step_back(db, tree_of(db, key), [key], deletion.above(db, key))
    for table in ("keys", "deltas", "background", "noted"):
        db.execute(f"DELETE FROM {table} WHERE turn = ?", (key,))
    db.execute("INSERT INTO withdrawn (turn) VALUES (?)", (key,))


def _refuse_while_running(db: Connection, seal: Seal, key: int, is_gone: IsGone) -> None:
    held = db.execute(
        """SELECT r.runner, c.id FROM turns t JOIN running r ON r.conversation = t.conversation AND r.turn = t.key
           JOIN conversations c ON c.key = t.conversation WHERE t.key = ?""",
        (key,),
    ).fetchone()
    if held is not None:
        if not is_gone(held[0]):
            raise ConversationBusy(held[1])
        locks.close_crashed(db, seal, key)
