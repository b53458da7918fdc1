"""Stopping an answer, and what a terminal goes through meanwhile: Ctrl-C, SIGTERM, a new size, typing ahead."""

from __future__ import annotations

import re
import signal

from cli.conftest import Open, Run
from upstream import Upstream, cut_after, hang, stream

CTRL_C = "\x03"


def test_ctrl_c_stops_the_answer_and_not_the_program(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("chat", "--conversation", "c", MULTITURN_OFFLINE_DELAY_MS="20")
    terminal.wait_for_prompt()
    terminal.type("count to 500\r")
    terminal.wait(" 12, 13,")
    terminal.type(CTRL_C + CTRL_C)  # people press it twice
    stopped = terminal.wait_for_prompt()
    assert re.search(r" 12, 13,.*\n\nStopped; what there is of the answer is kept\. /retry asks again\.\n\n›$", stopped)
    assert "4" in terminal.say("What is 2 + 2?")
    shown = run("show", "c").stdout
    assert re.search(r" 12, 13,.*\n\nincomplete: interrupted\n\n2 › What is 2 \+ 2\?", shown)
    assert "◐ count to 500" in run("show", "c", "--tree").stdout


def test_a_model_that_is_silent_can_be_stopped_too(open_terminal: Open) -> None:
    with Upstream() as upstream:
        upstream.script(hang())
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "tiny")
        terminal.wait_for_prompt()
        terminal.type("anybody?\r")
        terminal.wait("waiting for tiny")
        terminal.type(CTRL_C)
        stopped = terminal.wait_for_prompt()
        assert "waiting for tiny" not in stopped
        assert "Stopped; nothing had come yet. /retry asks again." in stopped
        assert upstream.wait(lambda: upstream.hung_up == 1), "the provider is told"
        assert "You said: anybody?" in terminal.say("/retry")


def test_text_that_came_before_a_failure_stays_on_the_screen(open_terminal: Open) -> None:
    with Upstream() as upstream:
        upstream.script(cut_after(3, "half ", "an answer ", "and more"))
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "tiny")
        terminal.wait_for_prompt()
        assert re.search(r"half an answer\n\nThe connection to .* broke", terminal.say("hello"))


def test_sigterm_ends_the_program_and_keeps_the_answer_so_far(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("chat", "--conversation", "c", MULTITURN_OFFLINE_DELAY_MS="20")
    terminal.wait_for_prompt()
    terminal.type("count to 500\r")
    terminal.wait(" 5, 6,")
    terminal.child.kill(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert terminal.text.endswith("/retry asks again.\n\nTo come back:\n  multiturn chat --conversation c")
    assert "incomplete: interrupted" in run("show", "c").stdout

    again = open_terminal("chat", "--conversation", "c")
    assert "incomplete: interrupted" in again.wait_for_prompt()
    again.child.kill(signal.SIGTERM)
    assert again.end() == 128 + signal.SIGTERM


def test_a_new_size_in_mid_answer_garbles_nothing(open_terminal: Open) -> None:
    terminal = open_terminal("chat", columns=60, MULTITURN_OFFLINE_DELAY_MS="20")
    terminal.wait_for_prompt()
    terminal.type("write 80 words\r")
    terminal.wait("At first the")
    terminal.resize(44, 24)
    terminal.wait("a traveller")
    terminal.resize(72, 24)
    answer = terminal.wait_for_prompt().split("› write 80 words")[1]
    assert answer.count("This is a story about") == 1
    assert len(answer.removesuffix("›").split()) == 80


def test_an_answer_longer_than_the_screen_is_there_once(open_terminal: Open) -> None:
    terminal = open_terminal("chat", columns=40, rows=10, MULTITURN_OFFLINE_DELAY_MS="1")
    terminal.wait_for_prompt()
    answer = terminal.say("count to 300").split("› count to 300")[1].removesuffix("›")
    assert answer.split() == [f"{number}," for number in range(1, 300)] + ["300"]


def test_markdown_is_drawn_as_it_arrives(open_terminal: Open) -> None:
    code = "".join(f"print({number})\n" for number in range(30))
    text = (
        f"# Plan\n\nSome **bold** words\n\n1. one\n2. two\n\n```python\n{code}```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    with Upstream() as upstream:
        upstream.script(stream(*re.findall(r"\S*\s*", text), delay_s=0.002))
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "tiny", rows=16)
        terminal.wait_for_prompt()
        answer = terminal.say("plan").split("› plan\n\n")[1]
    listing = "".join(f"  print({number})\n" for number in range(30))
    assert answer == f"Plan\n\nSome bold words\n\n 1 one\n 2 two\n\n{listing}\n a  b\n ────\n 1  2\n\n›"


def test_a_model_cannot_take_over_the_terminal(open_terminal: Open) -> None:
    with Upstream() as upstream:
        upstream.script(stream("safe \x1b[2J\x1b]0;title\x07 <b>html</b> [bold]not markup[/bold]"))
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "tiny")
        terminal.wait_for_prompt()
        shown = terminal.say("go")
    assert "safe �[2J�]0;title� <b>html</b> [bold]not markup[/bold]" in shown
    assert "multiturn 0" in shown


def test_keys_typed_meanwhile_wait_for_the_prompt(open_terminal: Open) -> None:
    terminal = open_terminal("chat", MULTITURN_OFFLINE_DELAY_MS="20")
    terminal.wait_for_prompt()
    terminal.type("count to 30\r")
    terminal.wait("3, 4,")
    terminal.type("typed ahead")
    assert "29, 30\n\n› typed ahead" in terminal.wait("› typed ahead")
