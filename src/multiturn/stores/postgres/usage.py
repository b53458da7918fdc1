"""Sums in SQL: what was used, and how much there is."""

from __future__ import annotations

from typing import Final

from multiturn.messages import Usage
from multiturn.stores import days
from multiturn.stores.postgres.session import Record, Session
from multiturn.stores.records import Statistics, UsageBy, UsageRow

_BIGGEST = 10

# For each way to sum: what conversations are summed by first, and the name of that.
_BY: Final[dict[UsageBy, tuple[str, str]]] = {
    "conversation": ("NULL", "t.conversation"),
    "user": (
        "NULL",
        "(SELECT c.user_id FROM conversations c WHERE c.tenant = $1 AND c.tree = t.tree AND c.id = t.conversation)",
    ),
    "model": ("model", "t.part"),
    "day": ("day::text", "t.part"),
}
_SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd")
_KINDS: Final = {
    "turns": ("turns", "trees", "branches"),
    "conversations": ("conversations", "names", "keys"),
    "search": ("said",),
    "attachments": ("attachments", "attached"),
    "instructions": ("texts",),
    "running": ("running", "deltas"),
}


async def usage(db: Session, by: UsageBy, since: float | None, until: float | None) -> tuple[UsageRow, ...]:
    part, name = _BY[by]
    sums = ", ".join(f"sum({column}) AS {column}" for column in _SUMMED)
    async with db.sums():
        found = await db.rows(
            f"""SELECT {name} AS name, sum(turns)::bigint AS turns, {sums}
                FROM (SELECT tree, conversation, {part} AS part, count(*) AS turns, {sums} FROM turns
                      WHERE tenant = $1 AND day BETWEEN coalesce($2, day) AND coalesce($3, day) GROUP BY 1, 2, 3) t
                GROUP BY 1""",
            None if since is None else days.day_of(since),
            None if until is None else days.day_of(until),
        )
    return days.in_order([_row(by, row) for row in found], by)


def _row(by: UsageBy, row: Record) -> UsageRow:
    name = row["name"] or ""
    tokens = {column: int(row[column] or 0) for column in _SUMMED if column.endswith("tokens")}
    return UsageRow(
        days.name_of(int(name)) if by == "day" else name, row["turns"], Usage(**tokens, cost_usd=row["cost_usd"])
    )


async def statistics(db: Session) -> Statistics:
    async with db.sums():
        counts = await db.row(
            """SELECT (SELECT count(*) FROM conversations WHERE tenant = $1) AS conversations,
                 (SELECT count(*) FROM turns WHERE tenant = $1) AS turns,
                 (SELECT count(*) FROM attachments WHERE tenant = $1) AS attachments"""
        )
        biggest = await db.rows(
            """SELECT conversation, sum(octet_length(body))::bigint AS bytes FROM turns WHERE tenant = $1
               GROUP BY conversation ORDER BY bytes DESC, conversation LIMIT $2""",
            _BIGGEST,
        )
        by_day = await db.rows("SELECT day, count(*) FROM turns WHERE tenant = $1 GROUP BY day ORDER BY day")
        kinds = {kind: await _size(db, tables) for kind, tables in _KINDS.items()}
    assert counts is not None
    return Statistics(
        conversations=counts["conversations"],
        turns=counts["turns"],
        attachments=counts["attachments"],
        bytes_by_kind=kinds,
        biggest=tuple((row["conversation"], row["bytes"]) for row in biggest),
        turns_by_day=tuple((days.name_of(number), turns) for number, turns in by_day),
    )


async def _size(db: Session, tables: tuple[str, ...]) -> int:
    """What the tables, their indexes and their long values take on the disk, those of all tenants together."""
    return int(
        await db.connection.fetchval(
            "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) name", tables
        )
    )
