"""Ports for servers that a test starts in a process of their own."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_OURS = range(20_000, 32_000)
"""None of those that the system gives to clients, which are 32,768 and above on Linux: one of these may be somebody's
again by the time that the server asks for it."""


def free_port() -> int:
    """A port that is free, as is the one after it."""
    while True:
        port = random.SystemRandom().choice(_OURS)
        here, there = ("127.0.0.1", port), ("127.0.0.1", port + 1)
        with suppress(OSError), socket.create_server(here), socket.create_server(there):
            return port
