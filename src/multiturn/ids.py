"""Ids: unguessable, and ascending with time, so that an index of them grows at its end."""

from __future__ import annotations

import base64
import os
import time


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of time in milliseconds, then 80 random bits, in base32hex (RFC 4648
    section 7), whose alphabet sorts as the bytes do."""
    moment = int(time.time() * 1000).to_bytes(6, "big")
    return f"{prefix}_{base64.b32hexencode(moment + os.urandom(10)).decode().rstrip('=').lower()}"
