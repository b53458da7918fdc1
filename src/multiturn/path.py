"""`Path`: the turns from the root to one head, and what the formats have made of each of them.

A finished turn never changes, so neither do the bytes that a format makes of it. They are made once and kept here;
the next request joins them (design idea 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from multiturn.messages import Message
from multiturn.turns import Totals, Turn


class Path:
    """Turns, oldest first. A value: `followed_by` and `until` give other paths, which know what this one has kept."""

    __slots__ = ("_kept", "turns")

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self.turns: tuple[Turn, ...] = tuple(turns)
        self._kept: dict[object, list[bytes]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self.turns == other.turns

    __hash__ = None  # type: ignore[assignment]

    @property
    def head(self) -> str | None:
        """The last turn's id; None when nothing has been said."""
        return self.turns[-1].id if self.turns else None

    @property
    def totals(self) -> Totals:
        return self.turns[-1].totals if self.turns else Totals()

    @property
    def messages(self) -> list[Message]:
        """Everything said on this path, oldest first; a new list each time."""
        return [message for turn in self.turns for message in turn.messages]

    def followed_by(self, *turns: Turn) -> Path:
        """This path and the turns that follow it."""
        return self._knowing((*self.turns, *turns))

    def until(self, turn_id: str | None) -> Path | None:
        """The path that ends with this turn, the empty one for None; None if the turn is not on this path."""
        if turn_id == self.head:
            return self
        if turn_id is None:
            return Path()
        count = next((n for n in range(len(self.turns), 0, -1) if self.turns[n - 1].id == turn_id), 0)
        return self._knowing(self.turns[:count]) if count else None

    def encoded(self, key: object, encode: Callable[[Sequence[Message]], bytes]) -> Sequence[bytes]:
        """What `encode` makes of each turn's messages, a piece a turn, oldest first. `key` names the encoding, equal
        for equal results; only turns that were not asked for before under that key are encoded now."""
        made = self._kept.setdefault(key, [])
        made.extend(encode(turn.messages) for turn in self.turns[len(made) :])
        return made

    def _knowing(self, turns: tuple[Turn, ...]) -> Path:
        path = Path(turns)
        path._kept = {key: made[: len(turns)] for key, made in self._kept.items()}
        return path
