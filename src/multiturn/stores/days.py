"""Days since the epoch, in UTC: what usage and growth are counted by."""

from __future__ import annotations

import time
from collections.abc import Iterable

from multiturn.stores.records import UsageBy, UsageRow

_DAY_S = 86_400


def day_of(moment: float) -> int:
    """The day of a time in seconds since the epoch."""
    return int(moment // _DAY_S)


def name_of(day: int) -> str:
    """A day as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY_S))


def in_order(rows: Iterable[UsageRow], by: UsageBy) -> tuple[UsageRow, ...]:
    """Sums as `Store.usage` gives them: days oldest first, anything else by the most tokens."""
    if by == "day":
        return tuple(sorted(rows, key=lambda row: row.name))
    return tuple(sorted(rows, key=lambda row: (-row.usage.total_tokens, row.name)))
