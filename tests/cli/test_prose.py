"""Markdown on a terminal: what it looks like, and that arriving in pieces changes nothing."""

from __future__ import annotations

import random

import pytest
from rich.console import Console

from multiturn.cli.console import console as our_console
from multiturn.cli.prose import References, prose_lines, split_finished

EVERYTHING = """\
# Heading

Text with **bold**, `code` and a [link](https://example.com).
A line break stays one.

Setext
------

1. one
2. two

   still two
   - nested

- [a reference][1] after it was defined is below

[1]: https://example.com/one

See [one][1] and <b>html</b> &amp; ~~struck~~.

```python
def f():

    return 1
```

    indented code

| a | b |
|---|--:|
| x | 1 |

> quoted
> twice

***

The end.
"""


@pytest.fixture
def console() -> Console:
    plain = our_console(width=41)
    plain.no_color = True
    return plain


def test_each_kind_of_block_looks_as_it_should(console: Console) -> None:
    assert prose_lines(console, EVERYTHING) == [
        "Heading",
        "",
        "Text with bold, code and a link",
        "(https://example.com).",
        "A line break stays one.",
        "",
        "Setext",
        "",
        " 1 one",
        " 2 two",
        "   still two",
        "    • nested",
        "",
        " • a reference (https://example.com/one)",
        "   after it was defined is below",
        "",
        "See one (https://example.com/one) and",
        "<b>html</b> & struck.",
        "",
        "  def f():",
        "",
        "      return 1",
        "",
        "  indented code",
        "",
        " a  b",
        " ────",
        " x  1",
        "",
        "▌ quoted",
        "▌ twice",
        "",
        "─" * 40,
        "",
        "The end.",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_arriving_in_pieces_changes_nothing(seed: int, console: Console) -> None:
    text = EVERYTHING.replace("[a reference][1] after it was defined is below", "an item")  # finished before it is
    chance = random.Random(seed)
    lines: list[str] = []
    references: References = {}
    pending = ""
    while text or pending:
        size = chance.randrange(1, 12)
        pending, text = pending + text[:size], text[size:]
        done, rest = split_finished(pending, known := {**references})
        assert done + rest == pending
        done, pending = (done, rest) if text else (pending, "")
        drawn = prose_lines(console, done, references=references)
        references = known
        lines += ["", *drawn] if lines and drawn else drawn
    assert lines == prose_lines(
        console, EVERYTHING.replace("[a reference][1] after it was defined is below", "an item")
    )


def test_half_a_link_target_is_not_taken_for_the_whole() -> None:
    references: References = {}
    assert split_finished("Text\n\n[1]: https://exa", references) == ("", "Text\n\n[1]: https://exa")
    assert references == {}


@pytest.mark.parametrize(
    "text", ["", "\n\n", "```", "```python", "| a |\n|-|", "[", "<", "&#0;", "- ", "1.", "***", "> ```\n"]
)
def test_what_is_only_begun_is_drawn_too(text: str, console: Console) -> None:
    prose_lines(console, text)
    split_finished(text, {})


def test_control_characters_are_shown_and_do_nothing(console: Console) -> None:
    assert prose_lines(console, "a\x1b[31mb\x07\x9b2J\r\nc") == ["a�[31mb��2J", "c"]
