"""Turns in SQL, read: one, a path, a whole tree. Plain functions on a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from multiturn.messages import Usage
from multiturn.stores import rows
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import conversations
from multiturn.stores.sqlite.places import (
    STATUSES,
    branches_of,
    branches_to,
    find_turn,
    first_of,
    id_at,
    last_of,
    parent_of,
    text_at,
    turn_key,
)
from multiturn.stores.sqlite.schema import Connection
from multiturn.turns import Turn

K = TypeVar("K")
V = TypeVar("V")

_USAGE = "input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd"
_COLUMNS = f"id, conversation, status, instructions, model, body, answered, asked, {_USAGE}"
_Columns = tuple[Any, ...]
_decode_answered = msgspec.json.Decoder(rows.Answered).decode


def turn(db: Connection, seal: Seal, tenant: str, id: str) -> Turn:
    return at(db, seal, turn_key(db, tenant, id))


def at(db: Connection, seal: Seal, key: int) -> Turn:
    found = db.execute(f"SELECT {_COLUMNS} FROM turns WHERE key = ?", (key,)).fetchall()
    above = parent_of(db, key)
    (made,) = _made(db, seal, found, [None if above is None else id_at(db, above)])
    return made


def path(db: Connection, seal: Seal, tenant: str, head: str, after: str | None) -> tuple[Turn, ...]:
    """The turns from the root, or from `after` on, to `head`: one range read for each branch on the way."""
    stretches, above = _stretches(db, tenant, head, after)
    ranges = [
        db.execute(f"SELECT {_COLUMNS} FROM turns WHERE key BETWEEN ? AND ? ORDER BY key", stretch)
        for stretch in reversed(stretches)
    ]
    found = [row for stretch in ranges for row in stretch]
    return _made(db, seal, found, [above, *(row[0] for row in found[:-1])])


def _stretches(db: Connection, tenant: str, head: str, after: str | None) -> tuple[list[tuple[int, int]], str | None]:
    """The first and last key of each stretch, the youngest first, and the turn that they follow."""
    known = None if after is None else find_turn(db, tenant, after)
    stretches: list[tuple[int, int]] = []
    for branch, last in branches_to(db, turn_key(db, tenant, head)):
        if known is not None and first_of(branch) <= known <= last:
            return [*stretches, (known + 1, last)], after
        stretches.append((first_of(branch), last))
    return stretches, None


def tree(db: Connection, seal: Seal, tenant: str, conversation_id: str) -> tuple[Turn, ...]:
    made: list[Turn] = []
    for branch in branches_of(db, conversations.found(db, tenant, conversation_id).tree):
        found = db.execute(
            f"SELECT {_COLUMNS} FROM turns WHERE key BETWEEN ? AND ? ORDER BY key", (first_of(branch), last_of(branch))
        ).fetchall()
        if found:
            first_key = find_turn(db, tenant, found[0][0])
            assert first_key is not None
            above = parent_of(db, first_key)
            first = None if above is None else id_at(db, above)
            made += _made(db, seal, found, [first, *(row[0] for row in found[:-1])])
    return tuple(made)


def _made(db: Connection, seal: Seal, found: Sequence[_Columns], parents: Iterable[str | None]) -> tuple[Turn, ...]:
    if not found:
        return ()
    names: _Known[int, str] = _Known(
        lambda key: str(db.execute("SELECT id FROM conversations WHERE key = ?", (key,)).fetchone()[0])
    )
    texts: _Known[int | None, str | None] = _Known(lambda key: text_at(db, seal, key))
    ids, made_in, statuses, instructions, models, bodies, shared, asked, *usage = zip(*found, strict=True)
    places = {
        "id": ids,
        "conversation": [names[key] for key in made_in],
        "parent": parents,
        "status": [STATUSES[status] for status in statuses],
        "instructions": [texts[key] for key in instructions],
        "model": [texts[key] for key in models],
    }
    turns = rows.to_turns(bodies, places, seal.open, lambda name: _attachment(db, seal, name))
    answered: _Known[int | None, rows.Answered | None] = _Known(lambda key: _answered(texts[key]))
    rows.put_back(turns, [answered[key] for key in shared], map(_usage, *usage))
    rows.put_asked(turns, [texts[key] for key in asked])
    return turns


def _answered(text: str | None) -> rows.Answered | None:
    return None if text is None else _decode_answered(text)


def _usage(
    input: int | None,
    output: int | None,
    cached: int | None,
    written: int | None,
    thought: int | None,
    cost: float | None,
) -> Usage | None:
    """The tokens of a turn with one answer; None where the columns tell of none."""
    if input is output is cached is written is thought is cost:
        return None
    return Usage(
        input_tokens=input or 0,
        output_tokens=output or 0,
        cached_tokens=cached or 0,
        cache_write_tokens=written or 0,
        reasoning_tokens=thought or 0,
        cost_usd=cost,
    )


def _attachment(db: Connection, seal: Seal, name: str) -> bytes:
    digest = bytes.fromhex(name)
    (body,) = db.execute("SELECT body FROM attachments WHERE digest = ?", (digest,)).fetchone()
    return seal.open(body, digest)


class _Known(dict[K, V]):
    """What was looked up is not looked up again."""

    def __init__(self, look_up: Callable[[K], V]) -> None:
        self._look_up = look_up

    def __missing__(self, key: K) -> V:
        value = self[key] = self._look_up(key)
        return value
