"""One turn, shown as it comes, and stopped by a signal without losing what there is of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import NamedTuple

from multiturn.cli.signals import Signals, Stopped
from multiturn.cli.views import View
from multiturn.conversation import Conversation
from multiturn.errors import MultiturnError
from multiturn.events import (
    PartContent,
    ReasoningContent,
    RunCompleted,
    RunNotice,
    RunPaused,
    RunStarted,
    ToolCallCompleted,
    ToolCallError,
    ToolCallStarted,
)
from multiturn.inputs import Input
from multiturn.messages import Opaque
from multiturn.turns import Turn


class Outcome(NamedTuple):
    """What became of a turn. `turn` is as the store has it now; None where nothing was stored. A `signal` means that
    it was stopped, an `error` that it failed."""

    turn: Turn | None
    error: MultiturnError | None = None
    signal: int | None = None


async def ask(chat: Conversation, said: Input, view: View, signals: Signals, *, replace: str | None = None) -> Outcome:
    """Say this, show the answer on the view, and tell how it went."""
    begun: list[str] = []
    try:
        return Outcome(await signals.run(_stream(chat, said, view, replace, begun.append), by_interrupt=True))
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
                case RunPaused():
                    return event.reply.turn
                case ToolCallStarted():
                    view.add("reasoning", f"\n→ {event.call.name}({event.call.arguments})\n")
                case ToolCallCompleted() | ToolCallError():
                    view.add("reasoning", f"← {event.result.text[:200]}\n")
                case RunNotice():
                    view.add("reasoning", f"\n({event.notice.text})\n")
                case PartContent(part=Opaque(kind=kind)):
                    view.add("reasoning", f"\n[{kind or 'opaque'}]\n")
                case PartContent():
                    view.add("answer", f"[{type(event.part).__name__.lower()}]")
                case _:
                    view.add("answer", event.text)
    raise AssertionError("a stream ends with its reply or an exception")


async def _ended(chat: Conversation, begun: list[str]) -> Turn | None:
    with suppress(MultiturnError):  # the error that is being told says what is wrong with the store
        return await chat.store.turn(begun[0]) if begun else None
    return None
