"""What is left out when a conversation grows: policies, small values that can be put together.

A policy is a pure function: a `Situation` in, a `Cut` out, nothing stored and nobody asked. Where it wants a summary it
says so in the `Cut`; `multiturn.context.frame` has it written. All of them cut at the borders of turns, never between a
call and its result, keep the pinned turns and the newest one, and, once they cut, cut deep: down to a share of what
there is, so that the next cut is far away and every request until then begins with the one before it.

    Strides()                                        the default: keep within the budget
    LastTurns(20), LastMessages(50)                  keep so many
    Shorten(then=Strides())                          first cut old results and media short
    Summarise("openai:gpt-5-nano")                   have what is left out summarised
    PinFirst(2, then=Summarise())                    the first turns, a summary of the middle, the recent ones
    KeepAll()                                        leave nothing out, whatever happens
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from multiturn.context.view import answers_before, bound, hidden_pins, is_cut
from multiturn.models.base import Model
from multiturn.turns import Mark, Turn


class Wish(msgspec.Struct, frozen=True):
    """That a summary be written of what is left out: by whom, None for whoever answers, and how it is asked for."""

    model: str | Model | None = None
    words: str | None = None


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to decide on: the `turns` of the path, oldest first; the `mark` under which the last request ran;
    how many tokens a turn takes (`size`, as it is or with its results cut short); and how many the next request would
    take under this mark (`total`), may take (`budget`, None for as many as it likes) and is to take after a cut, as a
    `share` of that. With `cutting`, another policy has begun to cut, so that it is to be cut down to that share."""

    turns: Sequence[Turn]
    mark: Mark
    size: Callable[[Turn, bool], int]
    total: int
    budget: int | None = None
    share: float = 0.6
    cutting: bool = False

    @property
    def exceeded(self) -> bool:
        return self.budget is not None and (self.cutting or self.total > self.budget)

    @property
    def goal(self) -> int:
        """The tokens that a request may have right after a cut."""
        return int((self.budget or 0) * self.share)

    def borders(self) -> Iterator[int]:
        """How many turns may be left out, from as many as are by now, upwards. The newest turn stays, with those whose
        calls it answers."""
        for count in range(self.mark.skipped, len(self.turns)):
            if not answers_before(self.turns[count].input):
                yield count

    def freed(self) -> Iterator[tuple[int, int]]:
        """Each of the `borders`, with the tokens that are set free when so many turns are left out."""
        pinned = {place for at in self._pins() for place in bound(self.turns, at)}
        free, before = 0, self.mark.skipped
        for count in self.borders():
            sizes = (self._shown(n, self.mark) for n in range(before, count) if n not in pinned)
            free, before = free + sum(sizes), count
            yield count, free

    def _pins(self) -> list[int]:
        ids = set(self.mark.pinned)
        return [n for n in range(self.mark.skipped, len(self.turns)) if self.turns[n].id in ids] if ids else []

    def shown_size(self, mark: Mark) -> int:
        """The tokens of the turns that a mark shows."""
        places = (*hidden_pins(self.turns, mark), *range(mark.skipped, len(self.turns)))
        return sum(self._shown(place, mark) for place in places)

    def _shown(self, place: int, mark: Mark) -> int:
        return self.size(self.turns[place], is_cut(self.turns, place, mark))

    def under(self, mark: Mark) -> Situation:
        """The situation once this mark holds."""
        if mark == self.mark:
            return self
        total = self.total - self.shown_size(self.mark) + self.shown_size(mark)
        return msgspec.structs.replace(self, mark=mark, total=total, cutting=self.exceeded)


class Cut(msgspec.Struct, frozen=True):
    """What a policy has decided: the mark from now on, the same one where nothing changes, and whether the turns that
    it newly leaves out are to be summarised."""

    mark: Mark
    wish: Wish | None = None


class Policy(Protocol):
    """Decides what is left out. Pure: the same situation gives the same cut."""

    def __call__(self, situation: Situation) -> Cut: ...


class KeepAll(msgspec.Struct, frozen=True):
    """Leaves nothing out; what does not fit is an error."""

    def __call__(self, situation: Situation) -> Cut:
        return Cut(situation.mark)


class Strides(msgspec.Struct, frozen=True):
    """Leaves out the oldest turns when the budget is exceeded, as few as make the request fit into the share."""

    def __call__(self, situation: Situation) -> Cut:
        mark = situation.mark
        if situation.exceeded:
            for count, free in situation.freed():
                mark = msgspec.structs.replace(mark, skipped=count)
                if situation.total - free <= situation.goal:
                    break
        return Cut(mark)


class LastTurns(msgspec.Struct, frozen=True):
    """Shows at most the last `count` turns; when there are more, no more than the share of that. The budget is kept
    beside, as `then` does."""

    count: int
    then: Policy = Strides()

    def __call__(self, situation: Situation) -> Cut:
        return self.then(_at_most(self.count, situation, lambda turn: 1))


class LastMessages(msgspec.Struct, frozen=True):
    """The same for messages. A turn is shown whole or not at all, so that the newest may exceed the count."""

    count: int
    then: Policy = Strides()

    def __call__(self, situation: Situation) -> Cut:
        return self.then(_at_most(self.count, situation, lambda turn: len(turn.messages)))


def _at_most(most: int, situation: Situation, weight: Callable[[Turn], int]) -> Situation:
    """The situation in which what is shown weighs no more than this."""
    weights = [weight(turn) for turn in situation.turns[situation.mark.skipped :]]
    left, before, mark = sum(weights), situation.mark.skipped, situation.mark
    if left > most:
        for count in situation.borders():
            left -= sum(weights[before - situation.mark.skipped : count - situation.mark.skipped])
            before, mark = count, msgspec.structs.replace(mark, skipped=count)
            if left <= max(1, int(most * situation.share)):
                break
    return situation.under(mark)


class Shorten(msgspec.Struct, frozen=True):
    """When the budget is exceeded, first cuts old results of tools and media short, but for those of the last `keep`
    turns and of pinned ones. Where that does not bring the request down to the share, `then` decides on the rest."""

    then: Policy = Strides()
    keep: int = 2

    def __call__(self, situation: Situation) -> Cut:
        until = len(situation.turns) - self.keep
        if situation.exceeded and until > situation.mark.shortened:
            situation = situation.under(msgspec.structs.replace(situation.mark, shortened=until))
        return self.then(situation)


class Summarise(msgspec.Struct, frozen=True):
    """What is left out is summarised, together with the summary so far, by `model`: a name or a `Model`, whoever
    answers if not given. `words` are those it is asked with, `multiturn.context.summary.WORDS` if not given. `then`
    decides what is left out."""

    model: str | Model | None = None
    words: str | None = None
    then: Policy = Strides()

    def __call__(self, situation: Situation) -> Cut:
        cut = self.then(situation)
        more = cut.mark.skipped > situation.mark.skipped
        return Cut(cut.mark, Wish(self.model, self.words) if more else cut.wish)


class PinFirst(msgspec.Struct, frozen=True):
    """Pins the first `count` turns; `then` decides on the others."""

    count: int = 1
    then: Policy = Summarise()

    def __call__(self, situation: Situation) -> Cut:
        first = situation.turns[: self.count]
        return self.then(situation.under(situation.mark.pinning(*(turn.id for turn in first))))
