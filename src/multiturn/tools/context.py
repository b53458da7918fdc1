"""What a tool may know of the run that calls it."""

from __future__ import annotations

from typing import Any

import msgspec


class ToolContext(msgspec.Struct, kw_only=True, eq=False):
    """Given to a parameter that is annotated so, which the model never sees.

    `state` is the run's own dict, shared by its tools, also by those that run at the same time: read and change it.
    `attempt` is above 1 where a crash may have interrupted this very call before. `cancelled` turns true when the run
    is cancelled or the tool's time is over: a function in a thread should look at it now and then, since nothing else
    can stop it; an async one gets `asyncio.CancelledError` as well.
    """

    call_id: str
    conversation: str | None = None
    user: str | None = None
    state: dict[str, Any] = {}  # msgspec makes a new one for each context
    attempt: int = 1
    cancelled: bool = False
