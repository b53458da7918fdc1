"""What the model is told of a tool that failed."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, TypeAlias

Errors: TypeAlias = Literal["message", "type", "full"]
"""How much of an exception the model reads: `ValueError: no such city`, `ValueError`, or the whole traceback, which
shows file names, lines of code and whatever the message holds."""


class ToolFailed(Exception):
    """Raise it in a tool to tell the model what went wrong in your own words: its text is the result, alone."""


def error_text(error: Exception, style: Errors) -> str:
    """The exception as the model reads it, never empty. Of an exception group, what it holds."""
    if isinstance(error, ToolFailed):
        return _message(error) or "the tool failed"
    if style == "full":
        return "".join(traceback.format_exception(type(error), error, _own_frames_left_out(error))).rstrip()
    return "; ".join(dict.fromkeys(_line(leaf, style) for leaf in _leaves(error)))


def _line(error: BaseException, style: Errors) -> str:
    kind = type(error).__name__
    message = _message(error) if style == "message" else ""
    return f"{kind}: {message}" if message else kind


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a broken __str__ must not hide which error it was
        return ""


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _own_frames_left_out(error: Exception) -> TracebackType | None:
    frame = error.__traceback__
    while frame and frame.tb_frame.f_globals.get("__name__", "").startswith("multiturn.tools"):
        frame = frame.tb_next
    return frame
