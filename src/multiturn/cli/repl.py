"""`multiturn chat` on a terminal: read, answer, again."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

import multiturn
from multiturn.cli import commands
from multiturn.cli.asking import Outcome, ask
from multiturn.cli.console import console, print_lines, printable, reading_width, sentence
from multiturn.cli.live import LiveView
from multiturn.cli.opening import OFFLINE, Asked, Opened, open_chat
from multiturn.cli.places import make_data_folder, shown
from multiturn.cli.prompt import Prompt
from multiturn.cli.signals import ENDING, Signals, Stopped
from multiturn.cli.transcript import counted, print_turns
from multiturn.cli.views import PlainView
from multiturn.conversation import Conversation
from multiturn.errors import ModelError, MultiturnError, StoreError
from multiturn.messages import Message


async def talk(asked: Asked) -> int:
    """Converse until the person leaves; the exit status."""
    opened = await open_chat(asked)
    with Signals() as signals:
        session = Session(opened, console(), signals)
        await session.welcome()
        try:
            while True:
                await session.step()
        except (EOFError, commands.Leave):
            status = 0
        except Stopped as stopped:
            status = 128 + stopped.signum
        await session.farewell()
    return status


class Session:
    """One sitting. `chat` is the conversation it is in, which /fork and /new change."""

    def __init__(self, opened: Opened, console: Console, signals: Signals) -> None:
        self.opened = opened
        self.chat: Conversation = opened.chat
        self.console = console
        self._signals = signals
        self._left: list[Conversation] = []  # those before this one, the last first
        self._draft = ""  # what the next prompt begins with
        self._replacing: tuple[str | None, str] = (None, "")  # the turn that it is about, and the prompt's label
        does = {name: command.does for name, command in commands.COMMANDS.items()}
        self._prompt = Prompt(make_data_folder() / "history", does, on_empty_interrupt=self._hint)

    # --- one round -----------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """Read once, and do what was asked, an empty line before and after it. Raises `EOFError`, `Leave` or
        `Stopped` at the end."""
        words, replace = await self._read()
        if not words:
            return
        self.console.print()
        try:
            if commands.is_command(words):
                await commands.run(self, words)
            else:
                await self.say(words, replace=replace)
        except MultiturnError as error:
            self.complain(error)
        except Stopped:
            self.console.print()
            raise
        self.console.print()

    async def _read(self) -> tuple[str, str | None]:
        """What was typed, and the turn whose place it takes."""
        (replace, label), self._replacing = self._replacing, (None, "")
        draft, self._draft = self._draft, ""
        try:
            return await self._signals.run(self._prompt.read(label=label, default=draft)), replace
        except (EOFError, Stopped):
            self.console.print()
            raise

    def begin_anew(self) -> None:
        """Be in a new conversation with the same model, instructions and store."""
        self._left.insert(0, self.chat)
        self.chat = Conversation(
            self.chat.model,
            instructions=self.chat.instructions,
            store=self.chat.store,
            base_url=self.opened.asked.base_url,
        )

    def edit_next(self, turn_id: str, label: str, words: str) -> None:
        """Let the next prompt begin with these words, and what it reads take that turn's place."""
        self._replacing, self._draft = (turn_id, label), words

    async def say(self, words: str | list[Message], *, replace: str | None = None) -> None:
        """One turn. What goes wrong with it is told, and the words are kept."""
        outcome = await ask(self.chat, words, self._view(), self._signals, replace=replace)
        self._tell(outcome)
        if outcome.turn is None and isinstance(words, str):
            self._draft = words
        if outcome.signal is not None and outcome.signal in ENDING:
            raise Stopped(outcome.signal)

    def _view(self) -> LiveView | PlainView:
        if self.console.is_dumb_terminal:
            return PlainView()
        return LiveView(self.console, waiting_for=str(self.chat.model))

    def _tell(self, outcome: Outcome) -> None:
        turn = outcome.turn
        came = turn is not None and bool(turn.output)
        if came and (outcome.error or outcome.signal or (turn and turn.reason)):
            self.console.print()
        if outcome.error:
            self.complain(outcome.error)
        elif outcome.signal:
            kept = "what there is of the answer is kept" if came else "nothing had come yet"
            self.print(Text(f"Stopped; {kept}. /retry asks again.", style="warning"))
        elif turn and turn.reason:
            self.print(Text(f"The answer is cut short ({printable(turn.reason)}).", style="warning"))

    def complain(self, error: MultiturnError) -> None:
        """One sentence on what went wrong."""
        told = sentence(str(error))
        self.print(Text(told[:1].upper() + told[1:], style="error"))
        if isinstance(error, ModelError):
            self.note("Your words are kept; /retry tries again.")

    # --- printing ------------------------------------------------------------------------------------------------

    def print(self, shown: RenderableType) -> None:
        print_lines(self.console, shown, width=reading_width(self.console))

    def note(self, text: str) -> None:
        self.print(Text(printable(text), style="note"))

    def _hint(self) -> None:
        from prompt_toolkit.application import run_in_terminal

        run_in_terminal(lambda: self.note("/quit or Ctrl-D leaves.\n"))

    async def welcome(self) -> None:
        """Who answers and where it is kept; where there is something to come back to, the last of it."""
        chat, asked = self.opened.chat, self.opened.asked
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="note")
        rows.add_column(overflow="fold")
        rows.add_row("model", _who(self.opened))
        rows.add_row("store", printable(shown(chat.store.url)))
        turns = await chat.aturns() if self.opened.resumed else []
        if asked.conversation:
            there = f", {counted(len(turns), 'turn')} so far" if self.opened.resumed else ", new"
            rows.add_row("chat", f"{printable(chat.id)}{there}")
        self.print(Text.assemble((f"multiturn {multiturn.__version__}", "bold")))
        self.print(rows)
        self.note("\n/help says what you can do here, Ctrl-D leaves.\n")
        if turns:
            print_turns(self.console, turns[-1:], first=len(turns), before=turns[-1])
            self.console.print()

    async def farewell(self) -> None:
        """How to come back to this conversation; to the one before it while nothing has been said in this one."""
        with suppress(StoreError):  # which has been told of by now
            for chat in (self.chat, *self._left):
                if await chat.alatest() is not None:
                    self.note("To come back:")
                    self.console.print(f"  {self.opened.asked.way_back(chat.id)}", soft_wrap=True)
                    return


def _who(opened: Opened) -> Text:
    model = str(opened.chat.model)
    if model != OFFLINE:
        return Text(printable(model))
    who = Text("offline, a built-in stand-in that recalls, counts and calculates")
    if not opened.asked.model:
        who.append("\nfor a real one: --model openai:gpt-5-mini, with OPENAI_API_KEY set", style="note")
    return who
