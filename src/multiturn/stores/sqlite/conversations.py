"""Conversations in SQL: their rows, listings and heads. Plain functions on a connection inside a transaction."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.records import LISTED, ConversationRecord, Cursor, Filter
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite.places import ON_TREE, STATUSES, text_at, text_key, turn_and_tree
from multiturn.stores.sqlite.schema import Connection

_encode = msgspec.json.Encoder(order="sorted").encode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode


class Row(NamedTuple):
    """A conversation as its row holds it, and the turn that runs there with its runner. Turns and texts are keys."""

    key: int
    tree: int
    head: int | None
    instructions: int | None
    running: int | None
    runner: str | None


_ROW = """
  SELECT c.key, c.tree, c.head, c.instructions, r.turn, r.runner
  FROM conversations c LEFT JOIN running r ON r.conversation = c.key WHERE c.id = ? AND c.tenant = ?
"""

_RECORD = """
  SELECT c.id, c.user, h.id, l.id, c.model, c.instructions, c.metadata, c.created_at, c.updated_at, c.kind
  FROM conversations c
  LEFT JOIN turns h ON h.key = c.head
  LEFT JOIN turns l ON l.key = c.latest
"""
_KIND = "ifnull(c.kind, 'conversation')"


def conversation(db: Connection, seal: Seal, tenant: str, id: str) -> ConversationRecord:
    row = db.execute(f"{_RECORD} WHERE c.id = ? AND c.tenant = ?", (id, tenant)).fetchone()
    if row is None:
        raise NotFound("conversation", id)
    return _record(db, seal, row)


def conversations(
    db: Connection, seal: Seal, tenant: str, filter: Filter, limit: int, after: Cursor | None
) -> tuple[ConversationRecord, ...]:
    conditions, values = _conditions(tenant, filter)
    if after is not None:
        conditions.append("(c.updated_at, c.id) < (?, ?)")
        values += [after.updated_at, after.id]
    where = " AND ".join(conditions)
    rows = db.execute(f"{_RECORD} WHERE {where} ORDER BY c.updated_at DESC, c.id DESC LIMIT ?", (*values, limit))
    return tuple(_record(db, seal, row) for row in rows.fetchall())


def made(
    db: Connection,
    seal: Seal,
    tenant: str,
    kind: str,
    filter: Filter,
    limit: int,
    after: str | None,
    newest_first: bool,
) -> tuple[ConversationRecord, ...]:
    conditions, values = _conditions(tenant, filter)
    if kind in LISTED:
        conditions.append(f"c.kind = '{kind}'")  # as the index has it
    else:
        conditions.append(f"{_KIND} = ?")
        values.append(kind)
    if after is not None:
        conditions.append(f"c.id {'<' if newest_first else '>'} ?")
        values.append(after)
    order = "DESC" if newest_first else "ASC"
    rows = db.execute(f"{_RECORD} WHERE {' AND '.join(conditions)} ORDER BY c.id {order} LIMIT ?", (*values, limit))
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
        add(f"{_KIND} = ?", filter.kind)
    if filter.model is not None:
        add("c.model = ?", filter.model)
    for name, value in (filter.metadata or {}).items():
        add("EXISTS (SELECT 1 FROM json_each(c.metadata) m WHERE m.key = ? AND m.value = ?)", name, value)
    return conditions, values


def family(db: Connection, seal: Seal, tenant: str, id: str) -> tuple[ConversationRecord, ...]:
    rows = db.execute(
        f"{_RECORD} WHERE c.key IN (SELECT key FROM conversations WHERE {ON_TREE}) ORDER BY c.id",
        {"tree": found(db, tenant, id).tree},
    ).fetchall()
    return tuple(_record(db, seal, row) for row in rows)


def create(db: Connection, seal: Seal, tenant: str, record: ConversationRecord) -> ConversationRecord:
    key = next_key(db)
    head, tree = (None, key) if record.head is None else turn_and_tree(db, tenant, record.head)
    instructions = text_key(db, seal, record.instructions)
    if not insert(db, tenant, record, key=key, tree=tree, head=head, latest=head, instructions=instructions):
        raise InvalidInput(f"there is a conversation {record.id!r} already; choose another id")
    return conversation(db, seal, tenant, record.id)


def update(db: Connection, seal: Seal, tenant: str, id: str, metadata: dict[str, str] | None) -> ConversationRecord:
    db.execute(
        "UPDATE conversations SET metadata = ?, updated_at = ? WHERE id = ? AND tenant = ?",
        (_encoded(metadata), time.time(), id, tenant),
    )
    return conversation(db, seal, tenant, id)


def next_key(db: Connection) -> int:
    """The key of the next new conversation, which no tree and no branch has either."""
    (key,) = db.execute(
        """SELECT 1 + max(ifnull((SELECT max(key) FROM conversations), 0),
                          ifnull((SELECT max(tree) FROM conversations WHERE tree <> key), 0),
                          ifnull((SELECT max(key) FROM branches), 0))"""
    ).fetchone()
    return int(key)


def insert(
    db: Connection,
    tenant: str,
    record: ConversationRecord,
    *,
    key: int,
    tree: int,
    head: int | None = None,
    latest: int | None = None,
    instructions: int | None = None,
) -> bool:
    """Write a new conversation, its turns and its instructions by their keys. Whether there was none of this id."""
    now = time.time()
    created = db.execute(
        """INSERT INTO conversations (key, id, tenant, tree, kind, user, head, latest, model, instructions, metadata,
             created_at, updated_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, tenant) DO NOTHING""",
        (
            key,
            record.id,
            tenant,
            tree,
            record.kind,
            record.user,
            head,
            latest,
            record.model,
            instructions,
            _encoded(record.metadata),
            record.created_at or now,
            record.updated_at or now,
        ),
    )
    return created.rowcount > 0


def tenants(db: Connection) -> tuple[str, ...]:
    found = db.execute("SELECT DISTINCT tenant FROM conversations ORDER BY tenant")
    return tuple(name for (name,) in found.fetchall())


def find(db: Connection, tenant: str, id: str) -> Row | None:
    row = db.execute(_ROW, (id, tenant)).fetchone()
    return None if row is None else Row(*row)


def found(db: Connection, tenant: str, id: str) -> Row:
    """The same. Raises `NotFound`."""
    row = find(db, tenant, id)
    if row is None:
        raise NotFound("conversation", id)
    return row


def _encoded(metadata: dict[str, str] | None) -> str | None:
    return _encode(metadata).decode() if metadata else None


def _record(db: Connection, seal: Seal, row: tuple[str, ...]) -> ConversationRecord:
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
