"""What a search looks for, as every store reads it."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from multiturn.errors import InvalidInput

_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"[^\W_]+")  # letters and digits; `snake_case` is two words
_AROUND = 60  # characters on each side of what was found


class Expression(msgspec.Struct, frozen=True):
    """Words that must all stand there, beginnings of words, and phrases; folded."""

    words: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()

    @property
    def every_word(self) -> tuple[str, ...]:
        """The words that must stand there as they are, those of phrases too."""
        return (*self.words, *(word for phrase in self.phrases for word in phrase))


def parse(text: str) -> Expression:
    """The expression of a search: words, `"phrases"` and `beginnings*`. Raises `InvalidInput` if there is no word."""
    words: list[str] = []
    beginnings: list[str] = []
    phrases: list[tuple[str, ...]] = []
    for phrase, term in _TERM.findall(text):
        found = words_of(phrase or term)
        if phrase and len(found) > 1:
            phrases.append(tuple(found))
        elif found and term.endswith("*"):
            words += found[:-1]
            beginnings.append(found[-1])
        else:
            words += found
    if not (words or beginnings or phrases):
        raise InvalidInput(f"there is no word to look for in {text!r}")
    return Expression(tuple(words), tuple(beginnings), tuple(phrases))


def fold(text: str) -> str:
    """The text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in spread if not unicodedata.combining(char))


def words_of(text: str) -> list[str]:
    """The text's words in their order, folded."""
    return _WORD.findall(fold(text))


def matches(expression: Expression, text: str) -> bool:
    """Whether all of it stands in the text."""
    found = words_of(text)
    there = set(found)
    line = f" {' '.join(found)} "
    return (
        there.issuperset(expression.words)
        and all(any(word.startswith(beginning) for word in there) for beginning in expression.beginnings)
        and all(f" {' '.join(phrase)} " in line for phrase in expression.phrases)
    )


def excerpt(expression: Expression, text: str) -> str:
    """A stretch of the text, on one line, around the first word that was looked for."""
    line = " ".join(text.split())
    wanted = (*expression.every_word, *expression.beginnings)
    starts = (word.start() for word in _WORD.finditer(line) if any(fold(word[0]).startswith(each) for each in wanted))
    at = next(starts, 0)
    start, end = max(0, at - _AROUND), at + 2 * _AROUND
    if start:
        start = line.find(" ", start, at) + 1 or start
    return ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")
