"""What one can type in a chat beside words: the commands that begin with a slash."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table
from rich.text import Text

from multiturn.cli.transcript import counted, print_turns, words_of
from multiturn.models.registry import resolve
from multiturn.turns import Turn

if TYPE_CHECKING:
    from multiturn.cli.repl import Session


class Leave(Exception):
    """The person wants to go."""


class Command(NamedTuple):
    """`takes` and `does` are for /help."""

    takes: str
    does: str
    run: Callable[[Session, str], Awaitable[None]]


def is_command(words: str) -> bool:
    """Whether this is meant for us; `/usr/bin is full` is not."""
    return re.match(r"/\w*(\s|$)", words) is not None


async def run(session: Session, words: str) -> None:
    """Do what a line that begins with a slash asks for."""
    typed, _, rest = words.partition(" ")
    typed = _ALSO.get(typed, typed)
    begun = [name for name in COMMANDS if name.startswith(typed)]
    name = typed if typed in COMMANDS else begun[0] if len(begun) == 1 else None
    if name:
        await COMMANDS[name].run(session, rest.strip())
        return
    near = difflib.get_close_matches(typed, COMMANDS, n=1, cutoff=0.4)
    guess = f"did you mean {' or '.join(begun or near)}?" if begun or near else "/help shows those there are."
    session.note(f"There is no command {typed}; {guess}")


# --- the commands ---------------------------------------------------------------------------------------------------


async def _help(session: Session, _: str) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="note")
    for name, command in COMMANDS.items():
        table.add_row(Text.assemble((name, "cyan"), f" {command.takes}".rstrip()), command.does)
    table.add_row()
    for key, does in _KEYS.items():
        table.add_row(key, does)
    session.print(table)


async def _history(session: Session, _: str) -> None:
    turns = await _said(session)
    if not turns:
        session.note("Nothing has been said yet.")
    print_turns(session.console, turns)


async def _retry(session: Session, _: str) -> None:
    turn = await session.chat.alatest()
    if turn is None:
        session.note("There is nothing to retry yet.")
        return
    await session.say(list(turn.input), replace=turn.id)


async def _edit(session: Session, rest: str) -> None:
    turns = await _said(session)
    if not turns:
        session.note("There is nothing to edit yet.")
        return
    first, _, others = rest.partition(" ")
    number, words = (int(first), others.strip()) if first.isdecimal() else (len(turns), rest)
    if not 1 <= number <= len(turns):
        session.note(f"There is no message {number}; you have said {counted(len(turns), 'thing')} (see /history).")
        return
    turn = turns[number - 1]
    if words:
        await session.say(words, replace=turn.id)
        if later := len(turns) - number:
            session.note(f"\n{counted(later, 'later message')} set aside; multiturn show --tree still shows them.")
    else:
        session.edit_next(turn.id, f"edit {number}", words_of(turn))
        session.note(f"Message {number}, for you to change; Enter says it anew, an empty line leaves it as it was.")


async def _fork(session: Session, name: str) -> None:
    left = session.chat
    if await left.alatest() is None:
        session.note("There is nothing to fork yet.")
        return
    session.chat = await left.afork(id=name or None)
    session.note(f"You are now in {session.chat.id}; {left.id} stays as it is.")


async def _model(session: Session, name: str) -> None:
    if name:
        resolve(name, base_url=session.opened.asked.base_url)
        session.chat.model = name
    session.note(f"{session.chat.model} answers{' from now on' if name else ''}.")


async def _system(session: Session, text: str) -> None:
    if text:
        session.chat.instructions = None if text == "clear" else text
    now = session.chat.instructions
    session.note(f"Instructions: {now}" if now else "No instructions.")


async def _usage(session: Session, _: str) -> None:
    turns = await session.chat.aturns()
    usage = await session.chat.ausage()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="note")
    table.add_column(justify="right")
    table.add_column(style="note")
    cached = f"{usage.cached_tokens:,} of them cached" if usage.cached_tokens else ""
    thought = f"{usage.reasoning_tokens:,} of them reasoning" if usage.reasoning_tokens else ""
    table.add_row("turns", f"{len(turns):,}")
    table.add_row("tokens in", f"{usage.input_tokens:,}", cached)
    table.add_row("tokens out", f"{usage.output_tokens:,}", thought)
    if usage.cost_usd is not None:
        table.add_row("cost", f"${usage.cost_usd:,.4f}")
    session.print(table)


async def _new(session: Session, _: str) -> None:
    session.begin_anew()
    session.note("A new conversation. The one before is kept.")


async def _quit(session: Session, _: str) -> None:
    raise Leave


async def _said(session: Session) -> list[Turn]:
    """The turns on the path, and one begun last that failed; numbered from 1 by whoever shows them."""
    turns, latest = await session.chat.aturns(), await session.chat.alatest()
    parent = turns[-1].id if turns else None
    return [*turns, latest] if latest and latest.parent == parent else turns


COMMANDS = {
    "/help": Command("", "what you can do here", _help),
    "/history": Command("", "what was said so far", _history),
    "/retry": Command("", "ask the last message again", _retry),
    "/edit": Command("[N] [TEXT]", "say message N, or the last one, in other words", _edit),
    "/fork": Command("[NAME]", "go on in a copy; this conversation stays as it is", _fork),
    "/model": Command("[NAME]", "who answers; NAME changes it", _model),
    "/system": Command("[TEXT]", "the instructions; TEXT changes them, clear removes them", _system),
    "/usage": Command("", "the tokens so far", _usage),
    "/new": Command("", "begin another conversation", _new),
    "/quit": Command("", "leave", _quit),
}
_ALSO = {"/exit": "/quit", "/q": "/quit", "/?": "/help"}
_KEYS = {
    "Alt-Enter": "a new line",
    "Ctrl-C": "stops the answer; at the prompt, clears what you typed",
    "↑ ↓  Ctrl-R": "what you typed before",
    "Ctrl-X Ctrl-E": "write in your $EDITOR",
}
