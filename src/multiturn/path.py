"""`Path`: the turns from the root to one head, and what the formats have made of each of them.

A finished turn never changes, so neither do the bytes that a format makes of it. They are made once and kept here;
the next request joins them (design idea 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from multiturn.messages import Message
from multiturn.turns import Mark, Totals, Turn


class Path:
    """Turns, oldest first. A value: `followed_by`, `until` and `showing` give other paths, which know what this one has
    kept."""

    __slots__ = ("_kept", "_lent", "_mark", "turns")

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self.turns: tuple[Turn, ...] = tuple(turns)
        self._mark: Mark | None = None
        self._kept: dict[object, list[bytes]] = {}
        self._lent: dict[object, dict[int, bytes]] = {}

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

    @property
    def mark(self) -> Mark:
        """What a model is shown of it after its last turn."""
        if self._mark is None:
            self._mark = self.mark_after(len(self.turns))
        return self._mark

    def mark_after(self, count: int) -> Mark:
        """What a model was shown of it after its first `count` turns."""
        changes: list[Mark] = []
        for turn in reversed(self.turns[:count]):
            if turn.window is not None:
                changes.append(turn.window)
                if turn.window.skipped >= 0:
                    break
        mark = Mark()
        for change in reversed(changes):
            mark = change.after(mark)
        return mark

    def followed_by(self, *turns: Turn) -> Path:
        """This path and the turns that follow it."""
        path = self._knowing((*self.turns, *turns))
        path._mark = self._mark
        for turn in turns:
            if turn.window is not None:
                path._mark = turn.window.after(path._mark) if path._mark is not None else None
        return path

    def until(self, turn_id: str | None) -> Path | None:
        """The path that ends with this turn, the empty one for None; None if the turn is not on this path."""
        if turn_id == self.head:
            return self
        if turn_id is None:
            return Path()
        count = next((n for n in range(len(self.turns), 0, -1) if self.turns[n - 1].id == turn_id), 0)
        return self._knowing(self.turns[:count]) if count else None

    def showing(self, turns: Iterable[Turn]) -> Path:
        """A path of these turns, in which nothing is made anew of those that this one has too: the same objects."""
        path = Path(turns)
        mine = {id(turn): n for n, turn in enumerate(self.turns)}
        same = [(id(turn), mine[id(turn)]) for turn in path.turns if id(turn) in mine]
        for key in self._kept.keys() | self._lent.keys():
            made, lent = self._kept.get(key, ()), self._lent.get(key, {})
            known = {name: lent[name] for name, _ in same if name in lent}
            known.update((name, made[n]) for name, n in same if n < len(made))
            path._lent[key] = known
        return path

    def encoded(self, key: object, encode: Callable[[Sequence[Message]], bytes]) -> Sequence[bytes]:
        """What `encode` makes of each turn's messages, a piece a turn, oldest first. `key` names the encoding, equal
        for equal results; only turns that were not asked for before under that key are encoded now."""
        made = self._kept.get(key)
        if made is None:
            lent = self._lent.get(key, {})
            made = self._kept[key] = [
                lent[id(turn)] if id(turn) in lent else encode(turn.messages) for turn in self.turns
            ]
        made.extend(encode(turn.messages) for turn in self.turns[len(made) :])
        return made

    def _knowing(self, turns: tuple[Turn, ...]) -> Path:
        path = Path(turns)
        path._kept = {key: made[: len(turns)] for key, made in self._kept.items()}
        path._lent = {key: known for key, known in self._lent.items() if key not in self._kept}
        return path
