"""API keys in SQL, and which tenants there are. Of a key only its digest is known here."""

from __future__ import annotations

import time

from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.records import KeyRecord
from multiturn.stores.sqlite.schema import Connection

_COLUMNS = KeyRecord.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM api_keys"


def create(db: Connection, record: KeyRecord) -> None:
    created = db.execute(
        f"""INSERT INTO api_keys ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
            ON CONFLICT DO NOTHING""",
        [getattr(record, column) for column in _COLUMNS],
    )
    if not created.rowcount:
        raise InvalidInput(f"there is an API key {record.id!r} already, or one of the same text; make a new one")


def find(db: Connection, digest: bytes) -> KeyRecord | None:
    row = db.execute(f"{_SELECT} WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else _record(row)


def every(db: Connection) -> tuple[KeyRecord, ...]:
    return tuple(map(_record, db.execute(f"{_SELECT} ORDER BY created_at, id").fetchall()))


def revoke(db: Connection, id: str) -> None:
    changed = db.execute("UPDATE api_keys SET revoked_at = ifnull(revoked_at, ?) WHERE id = ?", (time.time(), id))
    if not changed.rowcount:
        raise NotFound("API key", id)


def _record(row: tuple[object, ...]) -> KeyRecord:
    return KeyRecord(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]
