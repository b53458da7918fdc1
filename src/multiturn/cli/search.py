"""`multiturn search`: where something was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multiturn.cli.places import open_for_reading, store_option, tenant_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from multiturn.stores.expressions import Expression
    from multiturn.stores.records import Found

_WIDE = 110  # columns from which there is room for whole ids


@click.command(
    epilog="""\b
Examples:
  multiturn search green apples            all of these words
  multiturn search '"green apples"'        these words, one after the other
  multiturn search 'appl*' --user bob      beginnings of words, of one user
  multiturn search --json apples | jq -r .conversation

\b
Case and accents do not count. What failed is found too. To go on from a turn:
  multiturn fork CONVERSATION --at TURN"""
)
@click.argument("words", nargs=-1, required=True)
@click.option("--user", metavar="USER", help="Only what was said with this user.")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@store_option
@tenant_option
def search(
    words: tuple[str, ...], user: str | None, limit: int, as_json: bool, store: str | None, tenant: str | None
) -> None:
    """Find what was said.

    Shows the turns in which all of these WORDS stand, the newest first.
    """
    from multiturn import sync
    from multiturn.stores import expressions

    looked_for = " ".join(words)
    expression = expressions.parse(looked_for)
    opened = open_for_reading(store, tenant)
    found = sync.run(opened.search(looked_for, user=user, limit=limit + 1)) if opened else ()
    if as_json:
        _print_json(found[:limit])
    elif found:
        _print(found[:limit], expression, has_more=len(found) > limit)
    else:
        click.echo(f"Nobody has said {looked_for}.", err=True)


def _print_json(found: tuple[Found, ...]) -> None:
    import msgspec

    for turn, excerpt in ((each.turn, each.excerpt) for each in found):
        fields = {
            "conversation": turn.conversation,
            "turn": turn.id,
            "created_at": turn.created_at,
            "model": turn.model,
            "status": turn.status,
            "excerpt": excerpt,
        }
        click.echo(msgspec.json.encode(fields))


def _print(found: tuple[Found, ...], expression: Expression, *, has_more: bool) -> None:
    from multiturn.cli.console import console

    out = console()
    if not out.is_terminal:
        out = console(width=1000)
    for number, each in enumerate(found):
        if number:
            out.print()
        _print_one(out, each, expression)
    if has_more and out.is_terminal:
        out.print(f"\nThe newest {len(found)}; --limit shows more.", style="note")


def _print_one(out: Console, found: Found, expression: Expression) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from multiturn.cli.console import print_lines, printable, reading_width
    from multiturn.cli.ids import short
    from multiturn.cli.transcript import age

    name = short if out.is_terminal and out.width < _WIDE else str
    turn = found.turn
    facts = f" · turn {name(turn.id)} · {age(turn.created_at)}"
    out.print(Text.assemble((printable(name(turn.conversation)), "cyan"), (facts, "note")), soft_wrap=True)
    width = reading_width(out) if out.is_terminal else out.width
    print_lines(out, Padding(_highlighted(found.excerpt, expression), (0, 0, 0, 2)), width=width)


def _highlighted(text: str, expression: Expression) -> Text:
    """The text, in which the words that were looked for stand out."""
    import re

    from rich.text import Text

    from multiturn.cli.console import printable
    from multiturn.stores.expressions import fold

    line = Text(printable(text))
    words, beginnings = set(expression.every_word), expression.beginnings
    for word in re.finditer(r"\w+", line.plain):
        folded = fold(word[0])
        if folded in words or (beginnings and folded.startswith(beginnings)):
            line.stylize("bold yellow", *word.span())
    return line
