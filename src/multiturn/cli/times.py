"""Times and spans as people type them: 2026-11-01, 7d ago; 90d."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    _Seconds: TypeAlias = click.ParamType[float]
else:
    _Seconds = click.ParamType  # generic since click 8.4

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_557_600}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdwy])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Span(_Seconds):
    """A length of time, in seconds: 90d, 12h, 30m, 2w, 1y."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = _SPAN.fullmatch(str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is no length of time; write 90d, 12h or 2w", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


class Moment(_Seconds):
    """A moment, in seconds since the epoch: a date, a date and a time, or a span ago. A date stands for its beginning,
    or for its `end`; with `utc_day`, for any time within that day in UTC."""

    name = "moment"

    def __init__(self, *, end: bool = False, utc_day: bool = False) -> None:
        self._end, self._utc_day = end, utc_day

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = re.sub(r"\s+ago$", "", str(value).strip().lower())
        if span := _SPAN.fullmatch(text):
            return time.time() - float(span[1]) * _SECONDS[span[2]]
        try:
            given = datetime.fromisoformat(text.upper())
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-11-01, '2026-11-01 14:30', 7d or 12h", param, ctx)
        if _DATE.fullmatch(text):
            given = self._in_day(given)
        return given.timestamp()

    def _in_day(self, day: datetime) -> datetime:
        if self._utc_day:
            return day.replace(tzinfo=UTC)
        return day + timedelta(days=1) if self._end else day
