"""`Notice`: something that a run did and that its caller should know, though nothing went wrong."""

from __future__ import annotations

from typing import Literal

import msgspec


class Notice(msgspec.Struct, frozen=True, gc=False):
    """What happened, for programs (`code`) and for people (`text`).

    `translated`: the model was shown something else than what was said, because another provider said it or because it
    cannot read it (`multiturn.formats.switching`). `resent`: the provider no longer held the earlier answers, so that
    the whole history was sent again. `trimmed`: the model is no longer shown the oldest turns, or is shown old results
    of tools and media cut short. `summarised`: a summary stands for the oldest turns.
    """

    code: Literal["translated", "resent", "trimmed", "summarised"]
    text: str
