"""Figures to be seen at a glance, in block characters; in `#` where a terminal has none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from rich.table import Table
from rich.text import Text

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ACROSS = " ▏▎▍▌▋▊▉█"
_BAR = 30  # columns
_ROWS = 6
_COLUMNS = 60


def size(count: float) -> str:
    """Bytes for people: 512 bytes, 1.2 kB, 48 MB."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            return f"{count:,.{1 if count < 9.95 else 0}f} {unit}"
    raise AssertionError("unreachable")


def bars(rows: Iterable[tuple[str, int]]) -> Table:
    """A line each: a name, its size in bytes, and a bar."""
    named = list(rows)
    most = max((count for _, count in named), default=0) or 1
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=31)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, count in named:
        table.add_row(name, size(count), Text(_bar(count / most), style="cyan"))
    return table


def _bar(share: float) -> str:
    if not _has_blocks():
        return "#" * round(share * _BAR)
    eighths = round(share * _BAR * 8)
    if share and not eighths:
        eighths = 1
    return (_ACROSS[8] * (eighths // 8) + _ACROSS[eighths % 8]).rstrip()


def days(counts: Sequence[tuple[str, int]]) -> list[Text]:
    """A column for each of the last days, up to today's or the last that has anything, and an axis below."""
    first, heights = _last_days(counts)
    most = max(heights)
    wide = min(6, max(1, _COLUMNS // len(heights)))
    margin = len(f"{most:,}")
    lines = [
        Text.assemble(
            (f"{_label(row, most):>{margin}} ", "note"),
            ("│" if _has_blocks() else "|", "note"),
            ("".join(_cell(height / most, row, wide) for height in heights).rstrip(), "cyan"),
        )
        for row in reversed(range(_ROWS))
    ]
    return [*lines, *_axis(first, len(heights), wide, margin)]


def _last_days(counts: Sequence[tuple[str, int]]) -> tuple[date, list[int]]:
    """The first day shown, and what each from there on has."""
    by_day = {date.fromisoformat(day): count for day, count in counts}
    last = max(by_day)
    first = max(min(by_day), last - timedelta(days=_COLUMNS - 1))
    return first, [by_day.get(first + timedelta(days=n), 0) for n in range((last - first).days + 1)]


def _label(row: int, most: int) -> str:
    return f"{most:,}" if row == _ROWS - 1 else "0" if row == 0 and most > 0 else ""


def _cell(share: float, row: int, wide: int) -> str:
    """What a column of this height looks like in this row, counted from below."""
    eighths = max(round(share * _ROWS * 8), 1 if share else 0) - row * 8
    block = _EIGHTHS[min(8, max(0, eighths))] if _has_blocks() else "#" if eighths >= 4 or (eighths > 0 == row) else " "
    return block * max(1, wide - 1) + " " * (wide > 1)


def _axis(first: date, number: int, wide: int, margin: int) -> list[Text]:
    corner, line = ("└", "─") if _has_blocks() else ("+", "-")
    last = first + timedelta(days=number - 1)
    names = str(first)
    if number > 1:
        names += f"{last!s:>{max(number * wide - len(names), len(str(last)) + 2)}}"
    return [Text(f"{' ' * margin} {corner}{line * number * wide}", "note"), Text(f"{' ' * margin}  {names}", "note")]


def _has_blocks() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
