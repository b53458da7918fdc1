"""Conversations in SQL: their rows, listings and heads. Plain functions on a connection inside a transaction."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

import msgspec

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.records import ConversationRecord, Cursor, Filter
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite.places import STATUSES, text_at, text_key, tree_of, turn_key

_encode = msgspec.json.Encoder(order="sorted").encode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode


class Row(NamedTuple):
    """A conversation as its row holds it; `head` is a turn's key."""

    key: int
    tree: int
    head: int | None


_RECORD = """
  SELECT c.id, c.user, h.id, l.id, c.model, c.instructions, c.metadata, c.created_at, c.updated_at, c.kind
  FROM conversations c
  LEFT JOIN turns h ON h.key = c.head
  LEFT JOIN turns l ON l.key = c.latest
"""


def conversation(db: sqlite3.Connection, seal: Seal, tenant: str, id: str) -> ConversationRecord:
    row = db.execute(f"{_RECORD} WHERE c.id = ? AND c.tenant = ?", (id, tenant)).fetchone()
    if row is None:
        raise NotFound("conversation", id)
    return _record(db, seal, row)


def conversations(
    db: sqlite3.Connection, seal: Seal, tenant: str, filter: Filter, limit: int, after: Cursor | None
) -> tuple[ConversationRecord, ...]:
    conditions, values = _conditions(tenant, filter)
    if after is not None:
        conditions.append("(c.updated_at, c.id) < (?, ?)")
        values += [after.updated_at, after.id]
    where = " AND ".join(conditions)
    rows = db.execute(f"{_RECORD} WHERE {where} ORDER BY c.updated_at DESC, c.id DESC LIMIT ?", (*values, limit))
    return tuple(_record(db, seal, row) for row in rows.fetchall())


def _conditions(tenant: str, filter: Filter) -> tuple[list[str], list[object]]:
    conditions: list[str] = ["c.tenant = ?"]
    values: list[object] = [tenant]

    def add(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if filter.user is not None:
        add("c.user = ?", filter.user)
    if filter.since is not None:
        add("c.updated_at >= ?", filter.since)
    if filter.until is not None:
        add("c.updated_at < ?", filter.until)
    if filter.status is not None:
        add("l.status = ?", STATUSES.index(filter.status))
    if filter.kind is not None:
        add("ifnull(c.kind, 'conversation') = ?", filter.kind)
    for name, value in (filter.metadata or {}).items():
        add("EXISTS (SELECT 1 FROM json_each(c.metadata) m WHERE m.key = ? AND m.value = ?)", name, value)
    return conditions, values


def family(db: sqlite3.Connection, seal: Seal, tenant: str, id: str) -> tuple[ConversationRecord, ...]:
    rows = db.execute(f"{_RECORD} WHERE c.tree = ? ORDER BY c.id", (find(db, tenant, id).tree,)).fetchall()
    return tuple(_record(db, seal, row) for row in rows)


def create(db: sqlite3.Connection, seal: Seal, tenant: str, record: ConversationRecord) -> ConversationRecord:
    head = None if record.head is None else turn_key(db, tenant, record.head)
    tree = None if head is None else tree_of(db, head)
    if not create_if_absent(db, tenant, record, tree=tree, head=head):
        raise InvalidInput(f"there is a conversation {record.id!r} already; choose another id")
    db.execute(
        "UPDATE conversations SET model = ?, instructions = ? WHERE id = ? AND tenant = ?",
        (record.model, text_key(db, seal, record.instructions), record.id, tenant),
    )
    return conversation(db, seal, tenant, record.id)


def update(
    db: sqlite3.Connection, seal: Seal, tenant: str, id: str, metadata: dict[str, str] | None
) -> ConversationRecord:
    db.execute(
        "UPDATE conversations SET metadata = ?, updated_at = ? WHERE id = ? AND tenant = ?",
        (_encoded(metadata), time.time(), id, tenant),
    )
    return conversation(db, seal, tenant, id)


def create_if_absent(
    db: sqlite3.Connection, tenant: str, record: ConversationRecord, *, tree: int | None = None, head: int | None = None
) -> bool:
    """Whether there was none of this id."""
    now = time.time()
    times = record.created_at or now, record.updated_at or now
    created = db.execute(
        """INSERT INTO conversations (key, id, tenant, kind, user, tree, head, latest, metadata, created_at, updated_at)
           SELECT next, ?, ?, ?, ?, coalesce(?, next), ?, ?, ?, ?, ?
           FROM (SELECT max(ifnull((SELECT max(key) FROM conversations), 0),
                            ifnull((SELECT max(tree) FROM conversations), 0)) + 1 AS next) WHERE true
           ON CONFLICT (id, tenant) DO NOTHING""",
        (record.id, tenant, record.kind, record.user, tree, head, head, _encoded(record.metadata), *times),
    )
    return created.rowcount > 0


def tenants(db: sqlite3.Connection) -> tuple[str, ...]:
    found = db.execute("SELECT DISTINCT tenant FROM conversations ORDER BY tenant")
    return tuple(name for (name,) in found.fetchall())


def find(db: sqlite3.Connection, tenant: str, id: str) -> Row:
    row = db.execute("SELECT key, tree, head FROM conversations WHERE id = ? AND tenant = ?", (id, tenant)).fetchone()
    if row is None:
        raise NotFound("conversation", id)
    return Row(*row)


def _encoded(metadata: dict[str, str] | None) -> str | None:
    return _encode(metadata).decode() if metadata else None


def _record(db: sqlite3.Connection, seal: Seal, row: tuple[str, ...]) -> ConversationRecord:
    id, user, head, latest, model, instructions, metadata, created_at, updated_at, kind = row
    return ConversationRecord(
        id=id,
        user=user,
        head=head,
        latest=latest,
        model=model,
        instructions=text_at(db, seal, instructions),
        metadata=_decode_metadata(metadata) if metadata else None,
        created_at=float(created_at),
        updated_at=float(updated_at),
        kind=kind,
    )
