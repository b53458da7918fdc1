"""`Visit`: a request while it is answered, known to all that happens in its context."""

from __future__ import annotations

import asyncio
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING

from multiturn.errors import RunCancelled
from multiturn.ids import new_id
from multiturn.server.exchange import Exchange
from multiturn.turns import Turn

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_LEFT = (asyncio.CancelledError, GeneratorExit, RunCancelled)
_SANE = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")


class Visit:
    """One request, or one WebSocket. `id` is the client's own, where that is a plain word, so that both can speak of
    it. `exchange` is the turn that it ran, and `first_s` how long that was silent."""

    __slots__ = ("along", "context", "door", "error", "exchange", "first_s", "id", "is_over", "lasts", "span")

    def __init__(self, door: str, method: str, asked_id: str | None) -> None:
        self.door = door
        self.id = asked_id if asked_id and _SANE.fullmatch(asked_id) else new_id("req")
        self.lasts = method == "WEBSOCKET"
        self.is_over = False
        self.exchange: Exchange | None = None
        self.error: BaseException | None = None
        self.first_s: float | None = None
        self.span: Span | None = None
        self.context: Context | None = None
        self.along: dict[str, str] = {}

    def tells_of(self, exchange: Exchange) -> bool:
        """Whether what is told of the request tells of this turn: one that ends within it, and is alone there."""
        return not (self.is_over or self.lasts or exchange.asked.background)


VISIT: ContextVar[Visit | None] = ContextVar("visit", default=None)


def request_id() -> str | None:
    """The id of the request that is being answered here."""
    visit = VISIT.get()
    return visit.id if visit else None


def kind_of(error: BaseException | None, turn: Turn | None = None) -> str | None:
    """What went wrong, in a word for programs: the class of the error, or of the one that the turn was stored with;
    `cancelled` where whoever asked has gone or wants no more."""
    if isinstance(error, _LEFT):
        return "cancelled"
    if error is not None:
        return type(error).__name__
    return turn.error.kind if turn and turn.error else None
