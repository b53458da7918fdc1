"""`Framing`: what a conversation remembers of its window from one run to the next.

The last view, the sizes that were counted, what a provider has taught by refusing, and how its counts compare with
ours. The marks are in the turns, and all of this is made again from these.
"""

from __future__ import annotations

import msgspec

from multiturn.context.policies import Shorten
from multiturn.context.sizes import Sizes
from multiturn.context.tokens import counter_for
from multiturn.context.view import View
from multiturn.context.window import Learned, Room, Window, known, room
from multiturn.models.base import Model
from multiturn.models.catalogue import ModelInfo
from multiturn.request import Request

_SCALES = (0.5, 4.0)  # how far a provider's count may lead ours astray


class Framing:
    """Made once for a conversation; every run's `Frame` has it. Nothing that matters is in it."""

    def __init__(self, window: Window | None = None) -> None:
        self.window = window or Window()
        self.view: View | None = None
        self._counted: dict[tuple[str, str], Sizes] = {}
        self._infos: dict[tuple[str, str], ModelInfo] = {}
        self._learned: dict[tuple[str, str], Learned] = {}
        self._scales: dict[tuple[str, str], float] = {}

    def forked(self) -> Framing:
        """The framing of a conversation that goes on from here by itself."""
        framing = Framing(self.window)
        framing.view, framing._learned = self.view, dict(self._learned)
        return framing

    def sizes(self, model: Model) -> Sizes:
        known = self._counted.get((model.provider, model.name))
        if known is None:
            known = Sizes(counter_for(model.provider, model.name, getattr(model, "format", None)))
            self._counted[model.provider, model.name] = known
        return known

    def room(self, model: Model, request: Request) -> Room:
        named = (model.provider, model.name)
        if named not in self._infos:
            self._infos[named] = known(*named)
        return room(self.window, request.settings, self._infos[named], self.learned(model))

    def learned(self, model: Model) -> Learned:
        return self._learned.get((model.provider, model.name), Learned())

    def learn(self, model: Model, learned: Learned) -> None:
        self._learned[model.provider, model.name] = learned

    def for_summary(self) -> Framing:
        """The framing in which a summary is asked for: as much as fits, old results cut short first."""
        window = msgspec.structs.replace(self.window, policy=Shorten(keep=0), reserve_tokens=None, share=0.95)
        framing = Framing(window)
        framing.view, framing._counted, framing._learned = self.view, self._counted, self._learned
        return framing

    def scale(self, model: Model) -> float:
        """What the provider counts for one token of ours."""
        return self._scales.get((model.provider, model.name), 1.0)

    def compare(self, model: Model, reported: int, counted: int) -> None:
        least, most = _SCALES
        if counted:
            self._scales[model.provider, model.name] = min(most, max(least, reported / counted))
