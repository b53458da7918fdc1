"""Ends of turns that could not be written, as on a full disk: kept until they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from multiturn.errors import StoreError
from multiturn.turns import Turn

Finish = Callable[[str, Turn], Awaitable[None]]
"""Writes the end of a tenant's turn."""


class Ends:
    """The turns of this store that have ended and still count as running, by tenant and id."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Turn] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def forget(self, tenant: str, turn_id: str) -> None:
        """Let go of a turn's end: the turn runs again."""
        self._waiting.pop((tenant, turn_id), None)

    async def write(self, finish: Finish, tenant: str, turn: Turn) -> None:
        """Write a turn's end. Where that fails, or nobody waits for it any more, it is kept; of several, the last."""
        self.forget(tenant, turn.id)
        try:
            await finish(tenant, turn)
        except (StoreError, asyncio.CancelledError):
            self._waiting[tenant, turn.id] = turn
            raise

    async def write_waiting(self, finish: Finish) -> None:
        """Write what waits, as far as that can be done now."""
        for (tenant, id), turn in list(self._waiting.items()):
            try:
                await finish(tenant, turn)
            except StoreError:
                return
            except Exception:
                pass  # it was written after all, or is gone, or never can be
            if self._waiting.get((tenant, id)) is turn:
                del self._waiting[tenant, id]
