"""Function calls whose arguments come in pieces, each at a JSON path. Vertex AI sends them where
`streamFunctionCallArguments` is asked for; the Gemini API sends calls whole."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Raw

from multiturn.formats.gemini.wire import PartialArg, ReadCall, ReadPart

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


class PartialCall:
    """One call in the making: `add` its pieces until one of them is the last."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._id: str | None = None
        self._args: dict[str, Any] = {}
        self.signature: str | None = None

    def add(self, part: ReadPart, piece: ReadCall) -> ReadCall | None:
        """The whole call, if this piece is its last."""
        self._name, self._id = self._name or piece.name, self._id or piece.id
        self.signature = self.signature or part.thought_signature
        for arg in piece.partial_args or ():
            _put(self._args, arg)
        if piece.will_continue:
            return None
        return ReadCall(name=self._name, id=self._id, args=Raw(msgspec.json.encode(self._args)))


def _put(args: dict[str, Any], arg: PartialArg) -> None:
    """Set a value at its path (the part of RFC 9535 that names one place); strings go on where one is already."""
    steps: list[str | int] = [
        int(index) if index else name or single or double
        for name, index, single, double in _STEP.findall(arg.json_path)
    ]
    at: Any = args
    for step, following in pairwise(steps):
        at = _reached(at, step, [] if isinstance(following, int) else {})
    if not steps:
        return
    value = _value(arg)
    before = _reached(at, steps[-1], None)
    at[steps[-1]] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _reached(at: Any, step: str | int, otherwise: object) -> Any:
    """What is at this step of an object or a list, which grows by one item at most."""
    if isinstance(at, list) and isinstance(step, int) and step <= len(at):
        at.extend([None] * (step + 1 - len(at)))
    elif isinstance(at, dict):
        at.setdefault(step, None)
    else:
        raise ValueError(f"a partial argument leads to {step!r} of {type(at).__name__}")
    if at[step] is None:
        at[step] = otherwise
    return at[step]


def _value(arg: PartialArg) -> str | int | float | bool | None:
    if arg.string_value is not None:
        return arg.string_value
    return arg.bool_value if arg.number_value is None else arg.number_value
