"""A model's markdown on a terminal, also while it is still arriving."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, ClassVar, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, Markdown, MarkdownElement
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax

from multiturn.cli.console import lines_of, printable, reading_width

References: TypeAlias = MutableMapping[str, Any]
"""What markdown-it keeps of the link targets (`[1]: https://…`) that it has met."""

_parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _Heading(Heading):
    """Every level at the left, told apart by its style."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class _Code(CodeBlock):
    """Code, set in a little, in the terminal's own colours and on its own background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", background_color="default", word_wrap=True)
        yield Padding(syntax, (0, 0, 0, 2))


class _Rule(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style="note")


class _Block(Markdown):
    """One block of markdown as a chat wants it: a line break stays one, HTML is text, a link shows where it leads."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "hr": _Rule,
    }

    def __init__(self, text: str, references: References, style: str) -> None:
        super().__init__("", style=style, hyperlinks=False)
        self.markup = text
        self.parsed = _parser.parse(text, references)
        for token in self.parsed:
            for child in token.children or ():
                child.type = "hardbreak" if child.type == "softbreak" else child.type


def prose_lines(console: Console, text: str, *, style: str = "none", references: References | None = None) -> list[str]:
    """Markdown as lines for this console, an empty one between its blocks. `references` are link targets that were
    defined before this text."""
    known = _copy(references or {})
    lines: list[str] = []
    for block in _blocks(printable(text), known):
        drawn = lines_of(console, _Block(block, known, style), width=reading_width(console))
        while drawn and not drawn[-1]:
            drawn.pop()
        while drawn and not drawn[0]:
            drawn.pop(0)
        lines += ["", *drawn] if lines and drawn else drawn
    return lines


def split_finished(text: str, references: References) -> tuple[str, str]:
    """The blocks (paragraphs, lists, code…) that nothing to come can change, and the last one, which may go on. The
    link targets that the finished ones define are added to `references`."""
    blocks = _blocks(text, _copy(references))
    finished = "".join(blocks[:-1])
    if finished:
        _parser.parse(finished, references)
    return finished, "".join(blocks[-1:])


def _blocks(text: str, references: References) -> list[str]:
    """The text, cut where its blocks begin."""
    opening = (token.map[0] for token in _parser.parse(text, references) if _opens_block(token) and token.map)
    cuts = list(opening)[1:]
    lines = text.split("\n")
    starts = zip([0, *cuts], [*cuts, len(lines)], strict=True)
    return ["\n".join(lines[start:end]) + ("\n" if end < len(lines) else "") for start, end in starts]


def _opens_block(token: Token) -> bool:
    return token.level == 0 and token.nesting >= 0


def _copy(references: References) -> References:
    return {name: dict(targets) for name, targets in references.items()}
