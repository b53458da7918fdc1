"""Which parts of an answer stand in one item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from multiturn.messages import Part, Refusal, Text

Word: TypeAlias = Text | Refusal


def grouped(parts: Iterable[Part]) -> Iterator[tuple[Word, ...] | Part]:
    """The parts of each item: texts and refusals in a row under one id and phase together, anything else alone."""
    words: list[Word] = []
    for part in parts:
        if words and not (isinstance(part, Word) and _stands_with(part, words)):
            yield tuple(words)
            words = []
        if isinstance(part, Word):
            words.append(part)
        else:
            yield part
    if words:
        yield tuple(words)


def _stands_with(word: Word, words: Sequence[Word]) -> bool:
    text = _first_text(words)  # a refusal has no phase of its own
    return word.id == words[0].id and (isinstance(word, Refusal) or text is None or word.phase == text.phase)


def phase_of(words: Sequence[Word]) -> str | None:
    """The phase of the item that these stand in."""
    text = _first_text(words)
    return None if text is None else text.phase


def _first_text(words: Sequence[Word]) -> Text | None:
    return next((word for word in words if isinstance(word, Text)), None)
