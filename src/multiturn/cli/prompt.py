"""The line where one types: editing, several lines, history, completion of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from multiturn.cli.console import mark

_LOOK = Style.from_dict(
    {
        "mark": "ansicyan bold",
        "note": "ansibrightblack",
        "completion-menu": "noreverse bg:default",
        "completion-menu.completion": "noreverse bg:default fg:default",
        "completion-menu.completion.current": "noreverse bg:default ansicyan bold",
        "completion-menu.meta.completion": "noreverse bg:default ansibrightblack",
        "completion-menu.meta.completion.current": "noreverse bg:default ansibrightblack",
        "scrollbar.background": "bg:default",
        "scrollbar.button": "bg:default",
    }
)


class Prompt:
    """Asks for the next words. `commands` are the names to complete and what each does; `on_empty_interrupt` is called
    for Ctrl-C where there is nothing to clear."""

    def __init__(
        self, history: Path | None, commands: dict[str, str], *, on_empty_interrupt: Callable[[], None]
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=_Commands(commands),
            complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
            reserve_space_for_menu=min(len(commands), 10),
            key_bindings=_keys(on_empty_interrupt),
            multiline=True,
            prompt_continuation="  ",
            style=_LOOK,
            enable_suspend=True,
            enable_open_in_editor=True,
        )

    async def read(self, *, label: str = "", default: str = "") -> str:
        """What was typed, without blanks around it. Raises `EOFError` for Ctrl-D."""
        message = FormattedText([("class:note", f"{label} " if label else ""), ("class:mark", f"{mark()} ")])
        return (await self._session.prompt_async(message, default=default, handle_sigint=False)).strip()


class _Commands(Completer):
    def __init__(self, commands: dict[str, str]) -> None:
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text
        if typed.startswith("/") and document.is_cursor_at_the_end:
            for name, does in self._commands.items():
                if name.startswith(typed) and name != typed:
                    yield Completion(name, start_position=-len(typed), display_meta=does)


def _keys(on_empty_interrupt: Callable[[], None]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            on_empty_interrupt()

    return keys


def _history(file: Path | None) -> History:
    """What was typed before, in this and other conversations, for nobody else to read."""
    if file is None:
        return InMemoryHistory()
    try:
        file.touch(mode=0o600)
    except OSError:  # no place for it: a history for this time only
        return InMemoryHistory()
    return FileHistory(str(file))
