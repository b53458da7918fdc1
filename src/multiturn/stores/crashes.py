"""How a turn ends whose process did not live to end it."""

from __future__ import annotations

from collections.abc import Iterable

from multiturn.deltas import Delta, fold
from multiturn.messages import Origin
from multiturn.turns import Totals, Turn, TurnStatus, finished


def crashed(turn: Turn, deltas: Iterable[Delta], *, before: Totals, at: float) -> Turn:
    """The turn as `incomplete`, with what these deltas make. `before` are the parent's totals."""
    message = fold(deltas, origin=_origin(turn))
    output = (message,) if message.parts else ()
    return finished(turn, TurnStatus.INCOMPLETE, before=before, at=at, output=output, reason="crashed")


def _origin(turn: Turn) -> Origin | None:
    """As much of the answer's origin as the model's name tells."""
    if turn.model is None:
        return None
    provider, colon, name = turn.model.partition(":")
    return Origin(provider=provider, model=name) if colon else Origin(provider=turn.model)
