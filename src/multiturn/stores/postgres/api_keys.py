"""API keys in SQL, and which tenants there are. Of a key only its digest is known here. They are no tenant's."""

from __future__ import annotations

import time

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.records import KeyRecord

_COLUMNS = KeyRecord.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM api_keys"
_CREATE = f"""
  INSERT INTO api_keys ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${n + 1}" for n in range(len(_COLUMNS)))})
  ON CONFLICT DO NOTHING RETURNING id
"""


async def create(db: Session, record: KeyRecord) -> None:
    values = [getattr(record, column) for column in _COLUMNS]
    if await db.connection.fetchval(_CREATE, *values) is None:
        raise InvalidInput(f"there is an API key {record.id!r} already, or one of the same text; make a new one")


async def find(db: Session, digest: bytes) -> KeyRecord | None:
    row = await db.connection.fetchrow(f"{_SELECT} WHERE digest = $1", digest)
    return None if row is None else _record(row)


async def every(db: Session) -> tuple[KeyRecord, ...]:
    return tuple(map(_record, await db.connection.fetch(f"{_SELECT} ORDER BY created_at, id")))


async def revoke(db: Session, id: str) -> None:
    changed = await db.connection.fetchval(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING id", id, time.time()
    )
    if changed is None:
        raise NotFound("API key", id)


def _record(row: Record) -> KeyRecord:
    return KeyRecord(**row)
