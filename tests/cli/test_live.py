"""The changing end of a terminal, as a terminal shows it."""

from __future__ import annotations

import asyncio
import io

import pyte
import pytest

from multiturn.cli.console import console as our_console
from multiturn.cli.live import LiveView, Screen


class Tty:
    """A console of ours and the terminal it draws on."""

    def __init__(self, columns: int = 30, rows: int = 6) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.screen.set_mode(pyte.modes.LNM)  # a line feed goes to the first column, as a terminal's driver makes it
        self._stream = pyte.Stream(self.screen)
        self.console = our_console(width=columns)
        self.console.height = rows
        self.console.file = io.StringIO()
        self.written = 0

    @property
    def text(self) -> str:
        file = self.console.file
        assert isinstance(file, io.StringIO)
        self._stream.feed(file.getvalue()[self.written :])
        self.written = len(file.getvalue())
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()


def test_lines_are_drawn_in_the_place_of_those_before() -> None:
    tty = Tty()
    screen = Screen(tty.console)
    for lines in (["one"], ["one", "two"], ["one", "three", "four"], ["1"], ["1", "2"]):
        screen.show(lines)
        assert tty.text == "\n".join(lines)
    screen.settle(["for", "good"])
    screen.show(["next"])
    assert tty.text == "for\ngood\nnext"
    screen.show([])
    assert tty.text == "for\ngood"


def test_only_what_is_new_is_written() -> None:
    tty = Tty()
    screen = Screen(tty.console)
    screen.show(["a line that stays", "gro"])
    before = tty.text, tty.written
    screen.show(["a line that stays", "growing"])
    assert tty.text == f"{before[0]}wing"
    assert tty.written - before[1] < 30


def test_lines_beyond_the_screen_show_their_end_and_are_printed_once() -> None:
    tty = Tty(rows=6)
    screen = Screen(tty.console)
    numbers = [str(number) for number in range(40)]
    for count in range(1, 41):
        screen.show(numbers[:count])
    assert tty.text == "\n".join(numbers[-5:])
    screen.settle(numbers)
    assert tty.text == "\n".join(numbers)


async def test_reasoning_and_answer_are_told_apart() -> None:
    tty = Tty(columns=40)
    async with LiveView(tty.console, waiting_for="tiny") as view:
        view.add("reasoning", "Let me ")
        view.add("reasoning", "see.")
        view.add("answer", "It is ")
        view.add("answer", "42.")
    assert tty.text == "Let me see.\n\nIt is 42."


async def test_a_pause_before_the_first_word_is_said_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiturn.cli.live._PATIENCE_S", 0.0)
    tty = Tty()
    async with LiveView(tty.console, waiting_for="tiny") as view:
        while "waiting for tiny" not in tty.text:
            await asyncio.sleep(0.01)
        view.add("answer", "Here.")
    assert tty.text == "Here."


async def test_what_came_stays_when_the_answer_breaks_off() -> None:
    tty = Tty()

    async def answer() -> None:
        async with LiveView(tty.console, waiting_for="tiny") as view:
            view.add("answer", "half a sen")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await answer()
    assert tty.text == "half a sen"


def test_a_line_that_is_wider_than_the_terminal_is_cut_and_does_not_become_two() -> None:
    tty = Tty(columns=12)
    screen = Screen(tty.console)
    screen.show(["a" * 11, "漢" * 8])
    screen.show(["b" * 11, "c"])
    assert tty.text == f"{'b' * 11}\nc"
