"""Sums in SQL: what was used, and how much there is."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from multiturn.messages import Usage
from multiturn.stores import days
from multiturn.stores.records import Statistics, UsageBy, UsageRow
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite.places import text_at
from multiturn.stores.sqlite.schema import Connection

_BIGGEST = 10

_NAME: Final = {"conversation": "c.id", "user": "c.user", "model": "t.model", "day": "t.day"}
_KINDS: Final = {
    "turns": ("turns", "sqlite_autoindex_turns_1", "turns_by_instructions", "turns_by_asked"),
    "search": ("said_data", "said_idx", "said_config", "turns_by_document"),
    "attachments": ("attachments", "sqlite_autoindex_attachments_1", "attached", "attached_by_digest"),
    "instructions and models": ("texts", "sqlite_autoindex_texts_1"),
}


def usage(
    db: Connection, seal: Seal, tenant: str, by: UsageBy, since: float | None, until: float | None
) -> tuple[UsageRow, ...]:
    rows = db.execute(
        f"""SELECT {_NAME[by]}, count(*), total(t.input_tokens), total(t.output_tokens), total(t.cached_tokens),
              total(t.cache_write_tokens), total(t.reasoning_tokens), sum(t.cost_usd)
            FROM turns t JOIN conversations c ON c.key = t.conversation
            WHERE t.tenant = ? AND t.day BETWEEN ? AND ? GROUP BY 1""",
        (tenant, -1 if since is None else days.day_of(since), 1e9 if until is None else days.day_of(until)),
    ).fetchall()
    return days.in_order([_row(db, seal, by, row) for row in rows], by)


def _row(db: Connection, seal: Seal, by: UsageBy, row: tuple[Any, ...]) -> UsageRow:
    name, turns, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd = row
    match by:
        case "model":
            name = text_at(db, seal, name)
        case "day":
            name = days.name_of(int(str(name)))
    return UsageRow(
        str(name or ""),
        turns,
        Usage(
            input_tokens=int(input_tokens),
            output_tokens=int(output_tokens),
            cached_tokens=int(cached_tokens),
            cache_write_tokens=int(cache_write_tokens),
            reasoning_tokens=int(reasoning_tokens),
            cost_usd=cost_usd,
        ),
    )


def statistics(db: Connection, tenant: str) -> Statistics:
    conversations, turns, attachments = db.execute(
        """SELECT (SELECT count(*) FROM conversations WHERE tenant = :tenant),
             (SELECT count(*) FROM turns WHERE tenant = :tenant),
             (SELECT count(DISTINCT a.digest) FROM attached a JOIN turns t ON t.key = a.turn
              WHERE t.tenant = :tenant)""",
        {"tenant": tenant},
    ).fetchone()
    biggest = db.execute(
        """SELECT c.id, sum(length(t.body)) AS bytes FROM turns t JOIN conversations c ON c.key = t.conversation
           WHERE t.tenant = ? GROUP BY c.key ORDER BY bytes DESC, c.id LIMIT ?""",
        (tenant, _BIGGEST),
    ).fetchall()
    by_day = db.execute(
        "SELECT day, count(*) FROM turns WHERE tenant = ? GROUP BY day ORDER BY day", (tenant,)
    ).fetchall()
    return Statistics(
        conversations=conversations,
        turns=turns,
        attachments=attachments,
        bytes_by_kind=_bytes_by_kind(db),
        biggest=tuple(biggest),
        turns_by_day=tuple((days.name_of(number), turns) for number, turns in by_day),
    )


def _bytes_by_kind(db: Connection) -> dict[str, int]:
    """From SQLite's own count of pages where it was built with one (dbstat); else only the whole."""
    (page, pages, free) = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    kinds: dict[str, int] = {}
    try:
        sizes = dict(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall())
    except sqlite3.OperationalError:
        sizes = {}
    for kind, tables in _KINDS.items() if sizes else ():
        kinds[kind] = sum(sizes.get(table, 0) for table in tables)
    kinds["free"] = page * free
    kinds["other"] = page * pages - sum(kinds.values())
    return kinds
