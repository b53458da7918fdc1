"""Files in pieces of any size: their lines, or the members of the list that they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from multiturn.errors import InvalidInput

_BOM = b"\xef\xbb\xbf"
_TOKEN = re.compile(rb'\\.|["{}\[\]\n]', re.DOTALL)


def bad_line(number: int, problem: str) -> InvalidInput:
    return InvalidInput(f"line {number}: {problem[:1].lower()}{problem[1:]}")


def lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, and its number, from 1."""
    for number, line in enumerate(_split(pieces), start=1):
        text = line.removeprefix(_BOM) if number == 1 else line
        if text.strip():
            yield number, text


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        held.append(first)
        for other in others:
            yield b"".join(held)
            held = [other]
    yield b"".join(held)


def objects(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each JSON object of a list, or of a file with one a line, and the number of the line on which it begins."""
    rest = iter(pieces)
    start = b""
    for piece in rest:
        start = (start + piece).removeprefix(_BOM).lstrip(b" \t\r")
        if start.strip():
            break
    all_of_it = chain([start], rest)
    return _members(all_of_it) if start.lstrip().startswith(b"[") else lines(all_of_it)


def _members(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    depth, quoted, number, begun = 0, False, 1, 1
    held: list[bytes] = []
    for piece in _unbroken(pieces):
        start = 0
        for token in _TOKEN.finditer(piece):
            match token[0]:
                case b"\n":
                    number += 1
                case b'"':
                    quoted = not quoted
                case b"{" | b"[" if not quoted:
                    depth += 1
                    if depth == 2:
                        start, begun = token.start(), number
                case b"}" | b"]" if not quoted:
                    depth -= 1
                    if depth == 1:
                        yield begun, b"".join([*held, piece[start : token.end()]])
                        held.clear()
        if depth > 1:
            held.append(piece[start:])
    if depth:
        raise bad_line(number, "the file ends in the middle of its list")


def _unbroken(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same, no piece ending between a backslash and what it escapes."""
    rest = b""
    for piece in pieces:
        whole = rest + piece
        backslashes = len(whole) - len(whole.rstrip(b"\\"))
        rest = whole[-1:] if backslashes % 2 else b""
        yield whole[: len(whole) - len(rest)]
    yield rest
