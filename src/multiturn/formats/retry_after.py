"""When to come again: what a provider's headers ask for."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from headers of lower-case names: `retry-after-ms`, or `retry-after` as seconds or as a date
    (RFC 9110 section 10.2.3), which is taken relative to the server's own clock where it tells it."""
    milliseconds, seconds = _number(headers.get("retry-after-ms", "")), _number(headers.get("retry-after", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    if seconds is not None:
        return seconds
    then, now = _timestamp(headers.get("retry-after", "")), _timestamp(headers.get("date", ""))
    return None if then is None else max(0.0, then - (time.time() if now is None else now))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _timestamp(date: str) -> float | None:
    from email.utils import parsedate_to_datetime  # takes longer to import than all of this package

    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
