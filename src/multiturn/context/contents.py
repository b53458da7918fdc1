"""`Contents`: what the next request will hold, in tokens; as data, and as a bar to be printed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from multiturn.context.frame import Frame
from multiturn.context.view import hidden_pins
from multiturn.models.base import Model
from multiturn.request import Request

Part: TypeAlias = Literal["instructions", "tools", "summary", "pinned", "history", "new", "free", "reserve"]
MARKS: dict[Part, str] = {
    "instructions": "I",
    "tools": "T",
    "summary": "S",
    "pinned": "P",
    "history": "█",
    "new": "▒",
    "free": "·",
    "reserve": "░",
}
"""By what each part is drawn, in this order."""
WIDTH = 60


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of each part of the next request, as it is by now. `turns` of the conversation are shown, pinned ones
    included, and `skipped` are not. `context` is what the model reads and writes in one call, None where nobody knows;
    `reserve` of that is for the answer, and `budget` is what a request may have."""

    model: str
    context: int | None = None
    budget: int | None = None
    reserve: int = 0
    instructions: int = 0
    tools: int = 0
    summary: int = 0
    pinned: int = 0
    history: int = 0
    new: int = 0
    turns: int = 0
    skipped: int = 0

    @property
    def used(self) -> int:
        """The tokens of the request."""
        return self.instructions + self.tools + self.summary + self.pinned + self.history + self.new

    @property
    def free(self) -> int | None:
        """How many more it may have before something is left out."""
        return None if self.budget is None else max(0, self.budget - self.used)

    @property
    def fits(self) -> bool:
        """Whether it fits as it is."""
        return self.budget is None or self.used <= self.budget

    def parts(self) -> Iterator[tuple[Part, int]]:
        """What there is, in the order of the request, each with its tokens; free room and the reserve last."""
        for name in MARKS:
            tokens = self.free if name == "free" else getattr(self, name)
            if tokens:
                yield name, tokens

    def columns(self, width: int = WIDTH) -> Iterator[tuple[Part, int]]:
        """The parts as columns of a bar of this width; each that is there has one at least."""
        parts = dict(self.parts())
        whole = max(sum(parts.values()), 1)
        wide = {name: max(1, round(tokens / whole * width)) for name, tokens in parts.items()}
        if wide:
            largest = max(wide, key=lambda name: wide[name])
            wide[largest] = max(1, wide[largest] + width - sum(wide.values()))
        yield from wide.items()

    def __str__(self) -> str:
        bar = "".join(MARKS[name] * wide for name, wide in self.columns())
        rows = [f"  {MARKS[name]} {name:<14}{tokens:>9,}" for name, tokens in self.parts()]
        return "\n".join([self.headline, f"[{bar}]", *rows])

    @property
    def headline(self) -> str:
        """The figures in a line."""
        most = "of nobody knows how many" if self.budget is None else f"of {self.budget:,}"
        share = f" ({self.used / self.budget:.0%})" if self.budget else ""
        hidden = f", {self.skipped:,} left out" if self.skipped else ""
        return f"{self.model}: {self.used:,} tokens {most}{share}; {self.turns:,} turns shown{hidden}"


def contents(frame: Frame, model: Model, request: Request) -> Contents:
    """What this request holds under the frame's mark: our own count of each part, to the scale of the whole, which is
    the provider's where there is one."""
    room, mark, turns = frame.room(request), frame.mark, request.path.turns
    hidden = hidden_pins(turns, mark)
    pinned = {*hidden, *(n for n in range(mark.skipped, len(turns)) if turns[n].id in mark.pinned)}
    instructions = frame.sizes.instructions(request.instructions)
    parts = {
        "instructions": instructions,
        "tools": frame.sizes.opening(request) - instructions if request.tools or request.settings.output else 0,
        "summary": frame.sizes.summary(mark.summary),
        "pinned": sum(frame.size(turns[n], n) for n in pinned),
        "history": sum(frame.size(turns[n], n) for n in range(mark.skipped, len(turns)) if n not in pinned),
        "new": frame.sizes.messages(request.input),
    }
    scale = frame.total(request) / max(1, sum(parts.values()))
    return Contents(
        model=f"{model.provider}:{model.name}" if model.provider != model.name else model.name,
        context=room.context,
        budget=room.budget,
        reserve=room.reserve,
        turns=len(hidden) + len(turns) - mark.skipped,
        skipped=mark.skipped - len(hidden),
        **{name: math.ceil(tokens * scale) for name, tokens in parts.items()},
    )
