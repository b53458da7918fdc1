"""One turn, shown as it comes, and stopped by a signal without losing what there is of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeVar

from multiturn.cli.views import View
from multiturn.conversation import Conversation
from multiturn.errors import MultiturnError
from multiturn.events import PartContent, ReasoningContent, RunCompleted, RunStarted
from multiturn.inputs import Input
from multiturn.turns import Turn

T = TypeVar("T")

ENDING = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""The signals that end the program, once it has put away what it was at."""


class Stopped(Exception):
    """A signal came."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


class Outcome(NamedTuple):
    """What became of a turn. `turn` is as the store has it now; None where nothing was stored. A `signal` means that
    it was stopped, an `error` that it failed."""

    turn: Turn | None
    error: MultiturnError | None = None
    signal: int | None = None


async def ask(
    chat: Conversation, said: Input, view: View, *, replace: str | None = None, signals: tuple[int, ...] = ()
) -> Outcome:
    """Say this, show the answer on the view, and tell how it went. Any of the signals stops it."""
    begun: list[str] = []
    try:
        return Outcome(await stoppable(_stream(chat, said, view, replace, begun.append), *signals))
    except Stopped as stopped:
        return Outcome(await _ended(chat, begun), signal=stopped.signum)
    except MultiturnError as error:
        return Outcome(await _ended(chat, begun), error=error)


async def _stream(
    chat: Conversation, said: Input, view: View, replace: str | None, begin: Callable[[str], None]
) -> Turn:
    async with view, aclosing(chat.astream(said, replace=replace)) as events:
        async for event in events:
            match event:
                case RunStarted():
                    begin(event.turn.id)
                case RunCompleted():
                    return event.reply.turn
                case ReasoningContent():
                    view.add("reasoning", event.reasoning)
                case PartContent():
                    view.add("answer", f"[{type(event.part).__name__.lower()}]")
                case _:
                    view.add("answer", event.text)
    raise AssertionError("a stream ends with its reply or an exception")


async def _ended(chat: Conversation, begun: list[str]) -> Turn | None:
    with suppress(MultiturnError):  # the error that is being told says what is wrong with the store
        return await chat.store.turn(begun[0]) if begun else None
    return None


async def stoppable(work: Coroutine[Any, Any, T], *signals: int) -> T:
    """The work's result. A signal cancels it; when it has put its things away, raises `Stopped`."""
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def stop(signum: int) -> None:
        received.append(signum)
        task.cancel()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows: Ctrl-C is a KeyboardInterrupt there
        for signum in signals:
            loop.add_signal_handler(signum, stop, signum)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise Stopped(received[0]) from None
    finally:
        with suppress(NotImplementedError):
            for signum in signals:
                loop.remove_signal_handler(signum)
