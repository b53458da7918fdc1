"""Ids: unguessable, and ascending with time, so that an index of them grows at its end."""

from __future__ import annotations

import os
import time

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_PLACES = range(120, -1, -10)  # 26 digits of five bits, of which the last two bits are 0

_AT_ONCE = 256  # asking the system for bytes costs more than all the rest
_random: list[bytes] = []  # ten bytes each, used once; `pop` gives none of them to two threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.clear)  # or both processes would use the same


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of time in milliseconds, then 80 random bits, in base32hex (RFC 4648
    section 7), whose alphabet sorts as the bytes do."""
    bits = (int(time.time() * 1000) << 80 | int.from_bytes(_ten_bytes(), "big")) << 2
    return f"{prefix}_{''.join([_PAIRS[bits >> place & 1023] for place in _PLACES])}"


def _ten_bytes() -> bytes:
    try:
        return _random.pop()
    except IndexError:
        data = os.urandom(10 * _AT_ONCE)
        _random.extend(data[start : start + 10] for start in range(10, len(data), 10))
        return data[:10]
