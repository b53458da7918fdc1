"""What is said in a benchmark of the store: made-up words of which few are frequent and most are rare, as in any
language (Zipf's law), so that a search index or a compressor meets what it meets in life. The same at every run."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from random import Random

ASKED, ANSWERED = 800, 120  # characters of a turn's question and of its answer
_VOCABULARY = 20_000
_SYLLABLES = [first + second for first in "bdfghjklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er")]


def question(turn: int) -> str:
    return _text(2 * turn, ASKED)


def answer(turn: int) -> str:
    return _text(2 * turn + 1, ANSWERED)


def _text(seed: int, length: int) -> str:
    """`length` characters of sentences; every seed has its own."""
    words, weights = _vocabulary()
    chosen = Random(seed).choices(words, cum_weights=weights, k=length // 3)
    sentences = (" ".join(chosen[at : at + 12]).capitalize() + "." for at in range(0, len(chosen), 12))
    return " ".join(sentences)[: length - 1] + "."


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words, the frequent ones short, and the running sum of their weights (Zipf's law as Mandelbrot corrected it)."""
    chance, words = Random(0), dict[str, None]()
    while len(words) < _VOCABULARY:
        syllables = 1 if len(words) < 80 else chance.choice((2, 2, 3) if len(words) < 4_000 else (2, 3, 4))
        words["".join(chance.choices(_SYLLABLES, k=syllables))] = None
    return list(words), list(accumulate((rank + 2.7) ** -1.05 for rank in range(_VOCABULARY)))
