"""A model's markdown on a terminal, also while it is still arriving."""

from __future__ import annotations

from typing import Any, ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.padding import Padding
from rich.syntax import Syntax

from multiturn.cli.console import printable

_parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class _Code(CodeBlock):
    """Code, set in a little, in the terminal's own colours and on its own background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", background_color="default", word_wrap=True)
        yield Padding(syntax, (0, 0, 0, 2))


class Prose(Markdown):
    """Markdown as a chat wants it: a line break stays one, HTML is text, a link shows where it leads."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "fence": _Code, "code_block": _Code}

    def __init__(self, text: str, *, style: str = "none", references: dict[str, Any] | None = None) -> None:
        super().__init__("", style=style, hyperlinks=False)
        self.markup = printable(text)
        self.parsed = _parser.parse(self.markup, {} if references is None else references)
        for token in self.parsed:
            for child in token.children or ():
                child.type = "hardbreak" if child.type == "softbreak" else child.type


def split_finished(text: str, references: dict[str, Any]) -> tuple[str, str]:
    """The blocks (paragraphs, lists, code…) that nothing to come can change, and the last one, which may go on.
    `references` collects the link targets defined so far."""
    starts = [token.map[0] for token in _parser.parse(text, references) if _opens_block(token) and token.map]
    if len(starts) < 2:
        return "", text
    lines = text.split("\n")
    return "\n".join(lines[: starts[-1]]), "\n".join(lines[starts[-1] :])


def _opens_block(token: Token) -> bool:
    return token.level == 0 and token.nesting >= 0
