"""Conversations in SQL: their rows and listings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.postgres import writing
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.records import LISTED, ConversationRecord, Cursor, Filter

_encode = msgspec.json.Encoder(order="sorted").encode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode

_RECORDS = """
  SELECT c.id, c.user_id, c.model, c.instructions, c.metadata, c.created_at, c.updated_at, c.kind,
    (SELECT t.id FROM turns t WHERE t.tenant = $1 AND t.tree = c.tree
       AND t.branch = c.head_branch AND t.position = c.head_position) AS head,
    (SELECT t.id FROM turns t WHERE t.tenant = $1 AND t.tree = c.tree
       AND t.branch = c.latest_branch AND t.position = c.latest_position) AS latest,
    (SELECT x.body FROM texts x WHERE x.tenant = $1 AND x.tree = c.tree AND x.digest = c.instructions) AS text
  FROM conversations c
  WHERE c.tenant = $1
"""
_STATUS = """
  (SELECT t.status FROM turns t WHERE t.tenant = $1 AND t.tree = c.tree
     AND t.branch = c.latest_branch AND t.position = c.latest_position)
"""
_KIND = "coalesce(c.kind, 'conversation')"


async def conversation(db: Session, id: str) -> ConversationRecord:
    row = await db.row(
        f"{_RECORDS} AND c.id = $2 AND c.tree = (SELECT tree FROM names WHERE tenant = $1 AND id = $2)", id
    )
    if row is None:
        raise NotFound("conversation", id)
    return _record(db, row)


async def conversations(
    db: Session, filter: Filter, limit: int, after: Cursor | None
) -> tuple[ConversationRecord, ...]:
    where, values = _conditions(filter)
    if after is not None:
        where += f" AND (c.updated_at, c.id) < (${len(values) + 2}, ${len(values) + 3})"
        values += [after.updated_at, after.id]
    return await _page(db, where, values, "c.updated_at DESC, c.id DESC", limit)


async def made(
    db: Session, kind: str, filter: Filter, limit: int, after: str | None, newest_first: bool
) -> tuple[ConversationRecord, ...]:
    where, values = _conditions(filter)
    if kind in LISTED:
        where += f" AND c.kind = '{kind}'"  # as the index has it
    else:
        where += f" AND {_KIND} = ${len(values) + 2}"
        values.append(kind)
    if after is not None:
        where += f" AND c.id {'<' if newest_first else '>'} ${len(values) + 2}"
        values.append(after)
    return await _page(db, where, values, f"c.id {'DESC' if newest_first else 'ASC'}", limit)


async def _page(
    db: Session, where: str, values: Sequence[Any], order: str, limit: int
) -> tuple[ConversationRecord, ...]:
    found = await db.rows(f"{_RECORDS} {where} ORDER BY {order} LIMIT ${len(values) + 2}", *values, limit)
    return tuple(_record(db, row) for row in found)


def _conditions(filter: Filter) -> tuple[str, list[Any]]:
    """What comes after `WHERE`, and its values from `$2` on."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *given: Any) -> None:
        conditions.append(" AND " + condition.format(*(f"${len(values) + 2 + n}" for n in range(len(given)))))
        values.extend(given)

    if filter.user is not None:
        add("c.user_id = {}", filter.user)
    if filter.since is not None:
        add("c.updated_at >= {}", filter.since)
    if filter.until is not None:
        add("c.updated_at < {}", filter.until)
    if filter.status is not None:
        add(_STATUS + " = {}", filter.status)
    if filter.kind is not None:
        add(f"{_KIND} = {{}}", filter.kind)
    if filter.model is not None:
        add("c.model = {}", filter.model)
    if filter.metadata:
        add("c.metadata @> {}::jsonb", encoded(filter.metadata))
    return "".join(conditions), values


async def family(db: Session, id: str) -> tuple[ConversationRecord, ...]:
    found = await db.rows(
        f"{_RECORDS} AND c.tree = (SELECT tree FROM names WHERE tenant = $1 AND id = $2) ORDER BY c.id", id
    )
    if not found:
        raise NotFound("conversation", id)
    return tuple(_record(db, row) for row in found)


async def create(db: Session, record: ConversationRecord) -> ConversationRecord:
    now = time.time()
    record = msgspec.structs.replace(
        record,
        latest=record.head,
        created_at=record.created_at or now,
        updated_at=record.updated_at or now,
        metadata=record.metadata or None,
    )
    outcome = await db.value(
        "SELECT create_conversation($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        record.id,
        record.user,
        record.head,
        record.model,
        *writing.text(db.seal, record.instructions),
        encoded(record.metadata),
        record.kind,
        record.created_at,
        record.updated_at,
    )
    if outcome == "taken":
        raise InvalidInput(f"there is a conversation {record.id!r} already; choose another id")
    if outcome == "no turn":
        raise NotFound("turn", record.head or "")
    return record


async def update(db: Session, id: str, metadata: dict[str, str] | None) -> ConversationRecord:
    async with db.transaction():
        await db.run(
            """UPDATE conversations SET metadata = $3, updated_at = $4
               WHERE tenant = $1 AND id = $2 AND tree = (SELECT tree FROM names WHERE tenant = $1 AND id = $2)""",
            id,
            encoded(metadata),
            time.time(),
        )
        return await conversation(db, id)


async def tenants(db: Session) -> tuple[str, ...]:
    async with db.sums():
        return tuple(sorted(row[0] for row in await db.connection.fetch("SELECT DISTINCT tenant FROM names")))


def encoded(metadata: dict[str, str] | None) -> str | None:
    return _encode(metadata).decode() if metadata else None


def _record(db: Session, row: Record) -> ConversationRecord:
    return ConversationRecord(
        id=row["id"],
        user=row["user_id"],
        head=row["head"],
        latest=row["latest"],
        model=row["model"],
        instructions=None if row["text"] is None else db.seal.open(row["text"], row["instructions"]).decode(),
        metadata=dict(sorted(_decode_metadata(row["metadata"]).items())) if row["metadata"] else None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        kind=row["kind"],
    )
