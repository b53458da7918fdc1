"""What a docstring says of a function, and what it says of each parameter.

Four styles are read, also mixed: Google's (`Args:` and an indented block), NumPy's (`Parameters` underlined), Sphinx's
(`:param city: …`), and lines `city: …` by themselves. What is said of the parameters goes to them; all the rest, what
comes back and what is raised included, is the description.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

_GOOGLE = re.compile(r"(args|arguments|params|parameters|keyword args|keyword arguments|other parameters):\s*$", re.I)
_NUMPY = re.compile(r"(other )?parameters\s*$", re.I)
_UNDERLINE = re.compile(r"-{3,}\s*$")
_SPHINX = re.compile(r"\s*:(?:param|parameter|arg|argument|key|keyword|type)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


class Doc(NamedTuple):
    description: str
    parameters: dict[str, str]


def read(docstring: str | None, names: Collection[str]) -> Doc:
    """The description, and the text for those of the parameters `names` that have one."""
    reader = _Reader(inspect.cleandoc(docstring or "").splitlines(), names)
    reader.read()
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(reader.prose)).strip()
    return Doc(description, {name: text for name, text in reader.found.items() if name in names and text})


class _Reader:
    """Goes down the lines once; `at` is the next to read."""

    def __init__(self, lines: Sequence[str], names: Collection[str]) -> None:
        self.lines = lines
        self.names = names
        self.at = 0
        self.prose: list[str] = []
        self.found: dict[str, str] = {}

    def read(self) -> None:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if _GOOGLE.match(line) and self._indent(self.at):
                self._entries(self._block(0))
            elif _NUMPY.match(line) and self._underlined(self.at - 1):
                self.at += 1
                self._numpy_entries()
            elif match := _SPHINX.match(line):
                text = _joined([match[2], *self._block(_indent(line))])
                if not line.lstrip().startswith(":type"):
                    self.found[match[1]] = text
            elif (match := _ENTRY.match(line)) and match[1] in self.names:
                self.found[match[1]] = _joined([match[2] or "", *self._block(0)])
            else:
                self.prose.append(line)

    def _block(self, indent: int) -> list[str]:
        """The lines from here on that are indented by more than this, and the empty ones among them."""
        begin = end = self.at
        while self.at < len(self.lines) and (not self.lines[self.at].strip() or self._indent(self.at) > indent):
            self.at += 1
            if self.lines[self.at - 1].strip():
                end = self.at
        self.at = end
        return list(self.lines[begin:end])

    def _entries(self, block: Sequence[str]) -> None:
        """Google's: `city (str): text`, continued by lines that are indented deeper."""
        name, outer = "", _indent(block[0])
        for line in block:
            match = _ENTRY.match(line.strip())
            if match and _indent(line) <= outer:
                name, line = match[1], match[2] or ""
            self.found[name] = _joined([self.found.get(name, ""), line])

    def _numpy_entries(self) -> None:
        """NumPy's: `city : str`, then its text indented, until the next underlined heading."""
        while self.at < len(self.lines) and not self._underlined(self.at):
            match = _NUMPY_ENTRY.match(self.lines[self.at])
            self.at += 1
            text = _joined(self._block(0))
            for name in re.findall(r"\w+", match[1]) if match else ():
                self.found[name] = text

    def _underlined(self, at: int) -> bool:
        return bool(self.lines[at].strip()) and at + 1 < len(self.lines) and bool(_UNDERLINE.match(self.lines[at + 1]))

    def _indent(self, at: int) -> int:
        return _indent(self.lines[at]) if at < len(self.lines) else 0


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: Iterable[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
