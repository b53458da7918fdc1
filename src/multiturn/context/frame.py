"""`Frame`: what of a conversation its model is shown in one run, from request to request.

A request's size is what the provider said of the last one, and a count of what has come since. Where the window has
moved since, or nothing was said, all that is shown is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from multiturn.context.estimates import anchor
from multiturn.context.framing import Framing
from multiturn.context.policies import Cut, KeepAll, Situation, Wish
from multiturn.context.repair import mended
from multiturn.context.summary import Summary, answer_of, asking, summary_of
from multiturn.context.view import answers_before, hidden_pins, is_cut, seen, shortened_messages
from multiturn.context.window import Learned, Room, limit_in
from multiturn.errors import ContextOverflow, EmptyAnswer, TooLong
from multiturn.messages import Message, Usage
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request
from multiturn.turns import Mark, Turn

TIGHTER = 0.9
"""What part of a request that was refused the next one may have, where the provider does not say what it takes."""
LONGEST_SUMMARY = 0.125
"""The share of the budget that a summary may have, and where there is no budget, so many tokens:"""
USUAL_SUMMARY = 1000


class Fitted(msgspec.Struct, frozen=True):
    """A request as it is to be sent. `mark` is the one from now on, None where it is the same; `aside` what was used
    to write a summary."""

    request: Request
    notices: tuple[Notice, ...] = ()
    mark: Mark | None = None
    aside: Usage | None = None


class _Anchor(NamedTuple):
    """A provider's count: `tokens` of everything up to and including its answer, and the messages after that."""

    tokens: int
    since: Sequence[Message]


class Frame:
    """The window of one run, which follows `path` and begins under `mark`."""

    def __init__(self, framing: Framing, model: Model, path: Path, mark: Mark, *, summarises: bool = True) -> None:
        self.mark = mark
        self._summarises = summarises
        self._framing = framing
        self._model = model
        self._path = path
        self.sizes = framing.sizes(model)
        self._moved_at = 0  # how many messages of the run there were when the window last moved
        self._cut_until = 0  # up to where in the run's messages results are cut short
        self._left_out = 0  # up to where in them all is left out but the words of the user

    # --- a request, made to fit ---------------------------------------------------------------------------------------

    async def fit(self, request: Request, *, squeeze: bool = True) -> Fitted:
        """The request, whose path is not looked at, with what its model is to be shown. Raises `TooLong` where it does
        not fit, whatever is left out; unless it is not to be squeezed, but left to the policy."""
        before = self.mark
        situation = self.situation(request)
        cut = self._framing.window.policy(situation)
        summary = await self._summary(cut, request, situation) if cut.wish and self._summarises else Summary()
        self._move(cut.mark, summary.text, len(request.input))
        if squeeze and situation.budget is not None and not isinstance(self._framing.window.policy, KeepAll):
            self._squeeze(request, situation.budget)
        fitted = self._shown(request)
        if self.mark == before:
            return fitted
        notices = _notices(before, self.mark, situation, summary)
        return msgspec.structs.replace(fitted, notices=notices, mark=self.mark, aside=summary.usage)

    async def refit(self, request: Request, error: ContextOverflow) -> Fitted | None:
        """A smaller request, in the place of one that a provider has refused as too long; None where the policy finds
        nothing to leave out. More than that is left out only where the provider has named its limit."""
        before, learned = (self.mark, self._cut_until, self._left_out), self._framing.learned(self._model)
        refused, limit = self.total(request), limit_in(error)
        self._framing.learn(self._model, Learned(limit, learned.most))
        budget = self.room(request).budget
        is_sure = budget is not None and refused > budget
        if not is_sure:
            self._framing.learn(self._model, Learned(limit, int(refused * TIGHTER)))
        try:
            fitted = await self.fit(request, squeeze=is_sure)
        except TooLong:
            return None
        if (self.mark, self._cut_until, self._left_out) == before:
            self._framing.learn(self._model, learned)
            return None
        return fitted

    def situation(self, request: Request) -> Situation:
        """What the policy decides on."""
        total, budget = self.total(request), self.room(request).budget
        if budget is not None and total > budget:
            self._framing.compare(self._model, total, self.counted(request, self.mark, scale=1.0))
        scale = self.scale
        return Situation(
            turns=self._path.turns,
            mark=self.mark,
            size=lambda turn, cut: round(self.sizes.turn(turn, cut) * scale),
            total=total,
            budget=budget,
            share=self._framing.window.share,
        )

    def _shown(self, request: Request) -> Fitted:
        view = self._framing.view = seen(self._path, self.mark, self._framing.view)
        said = self._said(request)
        made, _ = mended(said, view.thread.on_trial(), place=len(self._path.turns), last=True)
        whole = made is not said or not self._is_same_since_answer(request.input)
        return Fitted(msgspec.structs.replace(request, path=view.shown, input=tuple(made), whole=whole))

    def _said(self, request: Request) -> Sequence[Message]:
        """The run's own messages, the first of them cut short or left out where they had to be."""
        said, until = request.input, self._cut_until
        if until:
            said = (*shortened_messages(said[:until]), *said[until:])
        first = _steps(said)[0] if self._left_out else 0
        return (*said[:first], *said[self._left_out :]) if self._left_out > first else said

    def _move(self, mark: Mark, summary: str, at: int) -> None:
        if summary:
            mark = msgspec.structs.replace(mark, summary=summary)
        if not _same_view(mark, self.mark):
            self._moved_at = at
        self.mark = mark

    # --- the last resort ----------------------------------------------------------------------------------------------

    def _squeeze(self, request: Request, budget: int) -> None:
        """Make the request fit where the policy has not: cut short what is shown of the path, then what tools have
        given back earlier in this run, leave out all turns, cut short what tools have just given back, and last leave
        out the run's first steps. Raises `TooLong` where even that is too much."""
        total = self.total(request)
        if total <= budget:
            return
        turns, steps = len(self._path.turns), _steps(request.input)
        everything = self.mark if answers_before(request.input) else _replaced(self.mark, skipped=turns)
        older, all_said = (steps[-1], len(request.input)) if steps else (0, 0)
        attempts = [
            (_replaced(self.mark, shortened=turns), self._cut_until, self._left_out),
            (_replaced(self.mark, shortened=turns + 1), older, self._left_out),
            (_replaced(everything, shortened=turns + 1), older, self._left_out),
            *((_replaced(everything, shortened=turns + 1), all_said, step) for step in steps),
        ]
        for mark, cut_until, left_out in attempts:
            self._move(mark, "", len(request.input))
            if (cut_until, left_out) > (self._cut_until, self._left_out):
                self._cut_until, self._left_out = max(cut_until, self._cut_until), max(left_out, self._left_out)
                self._moved_at = len(request.input)
            total = self.counted(request, self.mark)
            if total <= (budget * self._framing.window.share if left_out != attempts[-1][2] and left_out else budget):
                return
        _check(total, budget, "what cannot be left out, with", self._model)

    # --- how much it is -----------------------------------------------------------------------------------------------

    def room(self, request: Request) -> Room:
        return self._framing.room(self._model, request)

    @property
    def scale(self) -> float:
        """What the provider counts for one token of ours."""
        return self._framing.scale(self._model)

    def size(self, turn: Turn, place: int) -> int:
        """Our count of a turn of the path, as the mark shows it."""
        return self.sizes.turn(turn, is_cut(self._path.turns, place, self.mark))

    def total(self, request: Request) -> int:
        """The tokens that the request takes under the mark of now: the anchor and what came since, or all counted."""
        found = self._anchor(request)
        if found is None:
            return self.counted(request, self.mark)
        last = self._path.turns[-1].instructions if self._path.turns else None
        more = 0
        if (request.instructions or None) != (last or None) and not self._said_in_run(request.input):
            more = self.sizes.instructions(request.instructions) - self.sizes.instructions(last)
        return found.tokens + more + round(self.sizes.messages(found.since) * self.scale)

    def counted(self, request: Request, mark: Mark, *, scale: float | None = None) -> int:
        """The tokens that it takes under this mark by our own count, as the provider counts."""
        sizes, turns = self.sizes, self._path.turns
        shown = [*hidden_pins(turns, mark), *range(mark.skipped, len(turns))]
        count = sizes.opening(request) + sizes.summary(mark.summary)
        count += sum(sizes.turn(turns[n], is_cut(turns, n, mark)) for n in shown)
        count += sizes.messages(self._said(request))
        return round(count * (self.scale if scale is None else scale))

    def _anchor(self, request: Request) -> _Anchor | None:
        said = request.input[self._moved_at :]
        found = anchor(said, self.sizes.counter)
        if found is not None:
            return _Anchor(found.tokens, said[found.place + 1 :])
        place = None if self._moved_at else self._last_shown()
        if place is None or not self._was_shown_so(place):
            return None
        messages, spoken = self._path.turns[place].messages, any(message.role == "user" for message in said)
        found = anchor(messages, self.sizes.counter, spoken=spoken)
        return found and _Anchor(found.tokens, (*messages[found.place + 1 :], *said))

    def _said_in_run(self, messages: Sequence[Message]) -> bool:
        return anchor(messages[self._moved_at :], self.sizes.counter) is not None

    def _is_same_since_answer(self, messages: Sequence[Message]) -> bool:
        """Whether the last answer was given under the view of now."""
        if any(message.role == "assistant" for message in messages[self._moved_at :]):
            return True
        place = self._last_shown()
        return not self._moved_at and (place is None or self._was_shown_so(place))

    def _last_shown(self) -> int | None:
        """The place of the last turn in which anything was said, where it is shown."""
        turns = self._path.turns
        place = next((n for n in range(len(turns) - 1, -1, -1) if turns[n].input or turns[n].output), -1)
        return place if place >= self.mark.skipped else None

    def _was_shown_so(self, place: int) -> bool:
        path = self._path
        then = path.mark if place == len(path.turns) - 1 else path.mark_after(place + 1)
        return _same_view(then, self.mark)

    # --- summaries ----------------------------------------------------------------------------------------------------

    async def _summary(self, cut: Cut, request: Request, situation: Situation) -> Summary:
        """A summary of what the cut newly leaves out and of the summary so far; none where it would not be shorter."""
        wish, path = cut.wish, self._path.until(self._path.turns[cut.mark.skipped - 1].id)
        assert wish is not None
        assert path is not None
        most = _longest_summary(situation.budget)
        summary = await self._ask_for_summary(wish, path, request, most)
        if not summary.text:
            return summary
        new = self.sizes.summary(summary.text)
        old = self.sizes.summary(self.mark.summary) + sum(
            self.sizes.turn(path.turns[n]) for n in range(self.mark.skipped, len(path.turns))
        )
        if new >= old or new > 2 * most:
            return Summary("", summary.usage, f"it took {new:,} tokens in the place of {old:,}")
        return summary

    async def _ask_for_summary(self, wish: Wish, path: Path, request: Request, most: int) -> Summary:
        model = _by_name(wish.model) if isinstance(wish.model, str) else wish.model or self._model
        try:
            frame = Frame(self._framing.for_summary(), model, path, self.mark)
            fitted = await frame.fit(asking(request, wish.words, most))
        except TooLong as error:
            return Summary(problem=str(error))
        return await summary_of(model, fitted.request)


def check(framing: Framing, model: Model, request: Request) -> None:
    """Raise `TooLong` where the request's input does not fit by itself, whatever is left out of its path."""
    budget = framing.room(model, request).budget
    if budget is not None and not isinstance(framing.window.policy, KeepAll):
        _check(Frame(framing, model, Path(), Mark()).counted(request, Mark()), budget, "this message, with", model)


async def condensed(framing: Framing, model: Model, path: Path, request: Request) -> Message:
    """The model's summary of what the path shows by now, asked for with the request's input. Raises a `ModelError`
    where there is none."""
    asked = asking(request, request.input[0].text, _longest_summary(framing.room(model, request).budget))
    fitted = await Frame(framing.for_summary(), model, path, path.mark).fit(asked)
    answer = await answer_of(model, fitted.request)
    if not answer.text.strip():
        raise EmptyAnswer(f"{model.provider}:{model.name} wrote no summary", provider=model.provider, model=model.name)
    return answer


def _steps(said: Sequence[Message]) -> list[int]:
    """Where the steps of a run begin: the answers among its messages."""
    return [n for n, message in enumerate(said) if message.role == "assistant"]


def _longest_summary(budget: int | None) -> int:
    return USUAL_SUMMARY if budget is None else max(16, int(budget * LONGEST_SUMMARY))


def _by_name(name: str) -> Model:
    from multiturn.models.registry import resolve

    return resolve(name)


def _replaced(mark: Mark, *, skipped: int | None = None, shortened: int | None = None) -> Mark:
    return msgspec.structs.replace(
        mark, skipped=max(mark.skipped, skipped or 0), shortened=max(mark.shortened, shortened or 0)
    )


def _same_view(one: Mark, other: Mark) -> bool:
    """Whether both show the same of any path, one's last turn being newer than any pin of the other."""
    if one == other:
        return True
    return not (one.skipped or one.shortened or one.summary or other.skipped or other.shortened or other.summary)


def _notices(before: Mark, after: Mark, situation: Situation, summary: Summary) -> tuple[Notice, ...]:
    if _same_view(before, after):
        return ()
    why = f"{situation.total:,} tokens, of {situation.budget:,}" if situation.budget is not None else ""
    said: list[str] = []
    if after.skipped > before.skipped:
        said.append(f"the first {after.skipped:,} turns are no longer shown to the model")
    if after.shortened > max(before.shortened, after.skipped):
        said.append("old results of tools and media are shown cut short")
    text = ", and ".join(said) + (f" ({why})" if why else "")
    if summary.text:
        return (Notice("summarised", f"a summary stands for the first {after.skipped:,} turns ({why})"),)
    failed = f"; no summary: {summary.problem}" if summary.problem else ""
    return (Notice("trimmed", text + failed),) if said else ()


def _check(tokens: int, budget: int, what: str, model: Model) -> None:
    if tokens > budget:
        raise TooLong(
            f"{what} the instructions and tools takes about {tokens:,} tokens, and {model.provider}:{model.name} takes "
            f"{budget:,} beside its answer; say less, or choose a model that reads more",
            tokens=tokens,
            budget_tokens=budget,
        )
