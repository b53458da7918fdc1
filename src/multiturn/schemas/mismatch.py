"""What is wrong with a value, said so that whoever wrote it, a model above all, can mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

Step: TypeAlias = str | int
"""One step into a value: an object's key, or an array's index."""

_SHOWN = 60  # characters of a value that is not what was wanted
_MOST = 6  # problems told at once
_MOST_CHOICES = 10
WORDS = {
    **dict.fromkeys(("int", "integer"), "an integer"),
    **dict.fromkeys(("float", "number"), "a number"),
    **dict.fromkeys(("str", "string"), "a string"),
    **dict.fromkeys(("bool", "boolean"), "a boolean"),
    **dict.fromkeys(("list", "array"), "an array"),
    **dict.fromkeys(("dict", "object"), "an object"),
    "null": "null",
}
"""JSON's types in words, by JSON's name and by Python's, which msgspec uses."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where: the steps from the root to it."""

    path: tuple[Step, ...]
    text: str

    def __str__(self) -> str:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"{where.removeprefix('.')}: {self.text}" if where else self.text


class Mismatch(Exception):
    """A value is not of the type. `problems` are all that were found, in the order of the type's fields; the text
    tells the first six in one line."""

    def __init__(self, *problems: Problem) -> None:
        told = "; ".join(map(str, problems[:_MOST]))
        more = len(problems) - _MOST
        super().__init__(f"{told}; and {more} more" if more > 0 else told)
        self.problems = problems

    def under(self, step: Step) -> Iterable[Problem]:
        """The same problems as seen from one step further out."""
        return (Problem((step, *problem.path), problem.text) for problem in self.problems)


def expected(wanted: str, value: Any) -> Mismatch:
    """The mismatch of a whole value."""
    return Mismatch(Problem((), f"expected {wanted}, got {shown(value)}"))


def shown(value: Any) -> str:
    """The value as JSON, its beginning where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def one_among(choices: Sequence[Any]) -> str:
    """`one of "a", "b"`, the first ten of them."""
    told = ", ".join(map(shown, choices[:_MOST_CHOICES]))
    more = len(choices) - _MOST_CHOICES
    return ("one of " if len(choices) > 1 else "") + (f"{told} and {more} more" if more > 0 else told)


def there_are(names: Collection[str]) -> str:
    """The names to choose from, for whoever chose another."""
    return f"there are: {', '.join(names)}" if names else "there are none"


def in_words(error: msgspec.ValidationError) -> str:
    """What msgspec expected, in JSON's words instead of Python's: "expected an integer >= 5"."""
    text = re.sub(r", got `.*|`(\w+)`", lambda match: WORDS.get(match[1], match[1] or ""), str(error))
    return text[:1].lower() + text[1:]
