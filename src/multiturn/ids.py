"""Ids: unguessable, and ascending with time, so that an index of them grows at its end."""

from __future__ import annotations

import os
import time

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_ANY = bytes(ord(_DIGITS[byte % 32]) for byte in range(256))  # from a random byte to a random digit
_LAST = bytes(ord(_DIGITS[byte % 8 * 4]) for byte in range(256))  # to one whose last two bits are 0
_PLACES = range(40, -1, -5)

_AT_ONCE = 256  # asking the system for bytes costs more than all the rest
_random: list[str] = []  # the ends of ids, used once; `pop` gives none of them to two threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.clear)  # or both processes would use the same

_moment = (0, "")  # the last millisecond in which an id was made, and the nine digits of its first 45 bits


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of time in milliseconds, then 80 random bits, in base32hex (RFC 4648
    section 7), whose alphabet sorts as the bytes do."""
    global _moment
    now = int(time.time() * 1000)
    then, digits = _moment
    if now != then:
        digits = "".join([_DIGITS[now >> 3 >> place & 31] for place in _PLACES])
        _moment = now, digits
    end = _end()
    return f"{prefix}_{digits}{_DIGITS[(now & 7) << 2 | _DIGITS.index(end[0]) & 3]}{end[1:]}"


def _end() -> str:
    """17 digits: one of which two bits are used, and those of the other 78 random bits."""
    try:
        return _random.pop()
    except IndexError:
        any, last = os.urandom(16 * _AT_ONCE).translate(_ANY).decode(), os.urandom(_AT_ONCE).translate(_LAST).decode()
        _random.extend(any[16 * n : 16 * n + 16] + last[n] for n in range(1, _AT_ONCE))
        return any[:16] + last[0]
