"""`multiturn chat` as a person in front of a terminal has it: turns, commands, line editing, coming back."""

from __future__ import annotations

import re
from pathlib import Path

from cli.conftest import Open, Run
from upstream import Upstream, reply, status

ALICE = ("My name is Alice", "What is 15 * 23?", "What's my name?")
UP, LEFT, ALT_ENTER, CTRL_A, CTRL_C, CTRL_D = "\x1b[A", "\x1b[D", "\x1b\r", "\x01", "\x03", "\x04"


def test_a_conversation_of_several_turns_reads_well(open_terminal: Open) -> None:
    terminal = open_terminal("chat", "--conversation", "alice-1")
    greeting = terminal.wait_for_prompt()
    assert "offline, a built-in stand-in" in greeting
    assert "--model openai:gpt-5-mini, with OPENAI_API_KEY set" in greeting
    assert "~/data/multiturn/chats.db" in greeting
    for words in ALICE:
        terminal.say(words)
    assert terminal.text.split("leaves.\n\n")[1] == (
        "› My name is Alice\n\nNice to meet you, Alice.\n\n"
        "› What is 15 * 23?\n\n15 × 23 = 345.\n\n"
        "› What's my name?\n\nYour name is Alice.\n\n›"
    )
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert terminal.text.endswith("›\n\nTo come back:\n  multiturn chat --conversation alice-1")


def test_another_process_goes_on_where_the_first_left_off(open_terminal: Open, run: Run) -> None:
    run("chat", "--conversation", "alice-1", "My name is Alice")
    terminal = open_terminal("chat", "--conversation", "alice-1")
    greeting = terminal.wait_for_prompt()
    assert "alice-1, 1 turn so far" in greeting
    assert "1 › My name is Alice\n\nNice to meet you, Alice.\n\n›" in greeting
    assert "Your name is Alice." in terminal.say("What's my name?")


def test_the_way_back_names_a_store_that_is_not_the_default(open_terminal: Open, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/my chats.db"
    terminal = open_terminal("chat", "--store", store, columns=200)
    terminal.wait_for_prompt()
    terminal.say("My name is Alice")
    terminal.type("/quit\r")
    assert terminal.end() == 0
    assert re.search(rf"multiturn chat --conversation conv_\w+ --store '{store}'$", terminal.text)


def test_leaving_without_a_word_keeps_nothing_and_says_nothing(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert terminal.text.endswith("Ctrl-D leaves.\n\n›")


# --- commands -------------------------------------------------------------------------------------------------------


def test_history_usage_and_retry(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    assert "Nothing has been said yet." in terminal.say("/history")
    assert "There is nothing to retry yet." in terminal.say("/retry")
    for words in ALICE:
        terminal.say(words)
    terminal.say("/retry")
    assert terminal.text.count("Your name is Alice.") == 2
    history = terminal.say("/history").split("› /history")[-1]
    assert history == (
        "\n\n1 › My name is Alice\n\nNice to meet you, Alice.\n\n2 › What is 15 * 23?\n\n15 × 23 = 345."
        "\n\n3 › What's my name?\n\nYour name is Alice.\n\n›"
    )
    assert re.search(r"turns +3\ntokens in +\d+\ntokens out +\d+\n", terminal.say("/usage"))


def test_edit_says_a_message_in_other_words(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("chat", "--conversation", "alice-1")
    terminal.wait_for_prompt()
    assert "There is nothing to edit yet." in terminal.say("/edit")
    for words in ALICE:
        terminal.say(words)
    assert "3 × 3 = 9.\n\n1 later message set aside" in terminal.say("/edit 2 What is 3 * 3?")
    assert "There is no message 7; you have said 2 things" in terminal.say("/edit 7 hello")

    terminal.type("/edit\r")
    assert "Message 2, for you to change" in terminal.wait("edit 2 › What is 3 * 3?")
    terminal.type("\x7f\x7f5?\r")  # backspace over "3?"
    assert "3 × 5 = 15." in terminal.wait("edit 2 › What is 3 * 5?\n\n3 × 5 = 15.\n\n›")

    terminal.type("/edit 1\r")
    terminal.wait("edit 1 › My name is Alice")
    terminal.type(f"{CTRL_C}\r")  # left as it was
    assert "1 › My name is Alice\n" in terminal.say("/history")
    assert "● What is 15 * 23?" in run("show", "alice-1", "--tree").stdout


def test_fork_goes_on_in_a_copy(open_terminal: Open, run: Run) -> None:
    terminal = open_terminal("chat", "--conversation", "trunk")
    terminal.wait_for_prompt()
    assert "There is nothing to fork yet." in terminal.say("/fork branch")
    terminal.say("My name is Alice")
    assert "You are now in branch; trunk stays as it is." in terminal.say("/fork branch")
    assert "Your name is Alice." in terminal.say("What's my name?")
    assert "There is a conversation 'trunk' already" in terminal.say("/fork trunk")
    terminal.type("/quit\r")
    assert terminal.end() == 0
    assert terminal.text.endswith("multiturn chat --conversation branch")
    assert "What's my name?" in run("show", "branch").stdout
    assert "What's my name?" not in run("show", "trunk").stdout


def test_new_begins_another_conversation(open_terminal: Open) -> None:
    terminal = open_terminal("chat", "--conversation", "first")
    terminal.wait_for_prompt()
    terminal.say("My name is Alice")
    assert "A new conversation. The one before is kept." in terminal.say("/new")
    assert "Your name is Alice" not in terminal.say("What's my name?")
    terminal.say("/new")
    terminal.say("/new")
    terminal.type("/quit\r")
    assert terminal.end() == 0
    assert re.search(r"--conversation conv_\w+$", terminal.text), "the last one in which something was said"


def test_model_and_system_are_shown_and_changed(open_terminal: Open, run: Run) -> None:
    with Upstream() as upstream:
        upstream.script(reply("Aye."))
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "offline", "--conversation", "c")
        terminal.wait_for_prompt()
        assert "No instructions." in terminal.say("/system")
        assert "Instructions: Talk like a pirate" in terminal.say("/system Talk like a pirate")
        assert "offline answers." in terminal.say("/model")
        assert "tiny answers from now on." in terminal.say("/model tiny")
        assert "Aye." in terminal.say("Ready?")
        assert upstream.requests[0].json["model"] == "tiny"
        assert upstream.requests[0].json["messages"][0]["content"] == "Talk like a pirate"
        assert terminal.say("/system clear").count("No instructions.") == 2
    assert "system: Talk like a pirate" in run("show", "c").stdout


def test_a_model_that_cannot_be_found_changes_nothing(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    assert "Openai needs a key: set OPENAI_API_KEY." in terminal.say("/model openai:gpt-5-mini")
    assert "offline answers." in terminal.say("/model")


def test_help_and_commands_that_there_are_not(open_terminal: Open) -> None:
    terminal = open_terminal("chat", rows=50)
    terminal.wait_for_prompt()
    shown = terminal.say("/help")
    for command in (
        "help",
        "history",
        "retry",
        "edit [N] [TEXT]",
        "fork [NAME]",
        "model [NAME]",
        "usage",
        "new",
        "quit",
    ):
        assert f"/{command}" in shown
    assert "There is no command /histroy; did you mean /history?" in terminal.say("/histroy")
    assert "did you mean /help or /history?" in terminal.say("/h")
    assert "There is no command /zzz; /help shows those there are." in terminal.say("/zzz")
    assert "tokens in" in terminal.say("/us"), "the beginning of one is enough"
    assert "There is no command" not in terminal.say("/usr/bin is full").split("› /usr/bin")[1], "those are words"


# --- the line -------------------------------------------------------------------------------------------------------


def test_the_line_can_be_edited_and_what_was_typed_comes_back(open_terminal: Open, tmp_path: Path) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    terminal.type(f"say hell{LEFT}{LEFT}{LEFT}X\x7f{CTRL_A}\x1b[C\x1b[C\x1b[C\x1b[C\x1b[3~H\x05o\r")  # Delete, Ctrl-E
    terminal.wait("› say Hello\n\nHello\n\n›")
    terminal.type(f"first line{ALT_ENTER}second")
    terminal.wait("› first line\n  second")
    terminal.type(CTRL_C)
    terminal.wait_for_prompt()
    terminal.type(UP)
    terminal.wait("› say Hello", times=2)
    terminal.type(f"{CTRL_C}{CTRL_D}")
    assert terminal.end() == 0

    again = open_terminal("chat")
    again.wait_for_prompt()
    again.type(UP)
    again.wait("› say Hello")
    assert (tmp_path / "data/multiturn/history").stat().st_mode & 0o077 == 0, "for nobody else to read"


def test_several_lines_are_one_message(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    terminal.type(f"My name is Alice.{ALT_ENTER}What is 2 + 2?\r")
    terminal.wait("2 + 2 = 4")
    terminal.wait_for_prompt()
    terminal.type("\x1b[200~say one\ntwo\x1b[201~")  # pasted
    terminal.wait("› say one\n  two")
    terminal.type("\r")
    terminal.wait_for_prompt()
    assert "3 ›" not in terminal.say("/history")


def test_commands_complete(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    terminal.type("/")
    assert "/retry    ask the last message again" in terminal.wait("/usage")
    terminal.type("his")
    terminal.wait_without("/usage")
    terminal.type("\t")
    terminal.wait("› /history")
    terminal.type("\r")
    terminal.wait("Nothing has been said yet.")


def test_ctrl_c_clears_the_line_and_then_tells_how_to_leave(open_terminal: Open) -> None:
    terminal = open_terminal("chat")
    terminal.wait_for_prompt()
    terminal.type("not what I meant")
    terminal.wait("not what I meant")
    terminal.type(CTRL_C)
    terminal.wait_without("not what I meant")
    terminal.type(CTRL_C)
    terminal.wait("/quit or Ctrl-D leaves.")
    assert "4" in terminal.say("What is 2 + 2?")


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_failed_turn_keeps_the_words_and_the_program_goes_on(open_terminal: Open) -> None:
    with Upstream() as upstream:
        upstream.script(status(400), reply("There you are."))
        terminal = open_terminal("chat", "--base-url", upstream.url, "--model", "tiny")
        terminal.wait_for_prompt()
        failed = terminal.say("Are you there?")
        assert "the script says 400" in failed
        assert "Your words are kept; /retry tries again." in failed
        assert re.search(r"1 › Are you there\?\n\nfailed: .*the script says 400", terminal.say("/history"))
        assert "/retry\n\nThere you are.\n\n›" in terminal.say("/retry")
        assert upstream.requests[1].last_text == "Are you there?"
        assert "1 › Are you there?\n\nThere you are.\n\n›" in terminal.say("/history")


def test_words_that_could_not_even_be_kept_come_back_to_the_line(open_terminal: Open, tmp_path: Path) -> None:
    terminal = open_terminal("chat", "--store", f"sqlite:///{tmp_path}/no/such/folder/x.db")
    terminal.wait_for_prompt()
    terminal.type("precious words\r")
    shown = terminal.wait("› precious words", times=2)
    assert "no/such/folder" in shown
    assert "Traceback" not in shown


def test_a_terminal_can_be_narrow_plain_or_not_utf8(open_terminal: Open, run: Run) -> None:
    run("chat", "--conversation", "c", "My name is Alice")
    narrow = open_terminal("chat", "--conversation", "c", columns=30)
    narrow.wait_for_prompt()
    assert "Your name is Alice." in narrow.say("What's my name?")
    plain = open_terminal("chat", "--conversation", "c", NO_COLOR="1")
    plain.wait_for_prompt()
    plain.say("count to 3")
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", plain.raw), "a colour in spite of NO_COLOR"
    old = open_terminal("chat", "--conversation", "c", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    old.wait("Ctrl-D leaves.")
    old.type("count to 3\r")
    assert "> count to 3\n\n1, 2, 3" in old.wait("1, 2, 3", times=2)
