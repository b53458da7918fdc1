"""A short string that a regular expression matches, for the expressions that schemas really use: literals, classes,
groups, alternatives and repeats. No look-around and no back-references."""

from __future__ import annotations

import re

from multiturn.models.offline.limits import MOST

_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_REPEAT = re.compile(r"[*+?]|\{(\d*)(,?)(\d*)\}")
_LIKELY = "aA0 -_.@/:#"


def example_of(pattern: str) -> str | None:
    """Such a string, or None where this is beyond us."""
    try:
        made, end = _alternatives(pattern, 0)
        return made if end == len(pattern) and re.search(pattern, made) else None
    except (IndexError, ValueError, re.error, FutureWarning):  # the last where warnings are errors
        return None


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    """The first alternative, and where the group ends."""
    first, at = _sequence(pattern, at)
    while at < len(pattern) and pattern[at] == "|":
        _, at = _sequence(pattern, at + 1)
    return first, at


def _sequence(pattern: str, at: int) -> tuple[str, int]:
    made = ""
    while at < len(pattern) and pattern[at] not in "|)":
        piece, at = _atom(pattern, at)
        times, at = _times(pattern, at)
        if len(made) + len(piece) * times > MOST:
            raise ValueError(pattern)
        made += piece * times
    return made, at


def _atom(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char in "^$":
        return "", at + 1
    if char == ".":
        return "a", at + 1
    if char == "\\":
        return _escaped(pattern[at + 1]), at + 2
    if char == "[":
        return _class(pattern, at)
    if char == "(":
        opening = re.compile(r"\((?:\?:|\?P?<\w+>)?").match(pattern, at)
        made, end = _alternatives(pattern, opening.end() if opening else at + 1)
        if pattern[end] != ")":
            raise ValueError(pattern)
        return made, end + 1
    return char, at + 1


def _escaped(char: str) -> str:
    if char in "bBAZz":
        return ""
    return _CLASSES.get(char) or _CONTROLS.get(char, char)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A likely character of a class: what `re` itself accepts, so that ranges and negation need no reading."""
    end = at + 1
    end += pattern[end] == "^"
    end += pattern[end] == "]"
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    member = re.compile(pattern[at : end + 1])
    for char in (*_LIKELY, *map(chr, range(33, 127))):
        if member.fullmatch(char):
            return char, end + 1
    raise ValueError(pattern)


def _times(pattern: str, at: int) -> tuple[int, int]:
    """How often at least, and where the repeat ends."""
    match = _REPEAT.match(pattern, at)
    if not match:
        return 1, at
    end = match.end() + (pattern[match.end() : match.end() + 1] in ("?", "+"))
    if match[0][0] == "{":
        return int(match[1] or 0), end
    return 1 if match[0] == "+" else 0, end
