"""Where an answer goes as it comes: a person's terminal (`live.py`), a pipe, or nowhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Literal, Protocol


class View(Protocol):
    """Something that shows an answer, between `__aenter__` and `__aexit__`."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, kind: Literal["answer", "reasoning"], text: str) -> None:
        """The next stretch of it."""


class SilentView:
    """Shows nothing."""

    async def __aenter__(self) -> SilentView:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def add(self, kind: Literal["answer", "reasoning"], text: str) -> None:
        return None


class PlainView(SilentView):
    """The answer's text as it is, to stdout, each piece as soon as it is there, and a line's end after the last."""

    def __init__(self) -> None:
        self._last = ""

    def add(self, kind: Literal["answer", "reasoning"], text: str) -> None:
        if kind == "answer" and text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._last = text[-1]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last not in ("", "\n") and not isinstance(error, BrokenPipeError):
            print(flush=True)
