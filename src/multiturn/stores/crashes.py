"""How a turn ends whose process did not live to end it."""

from __future__ import annotations

from collections.abc import Iterable

from multiturn.deltas import CallsStarted, Delta, Draft, ModelAsked, Said, fold
from multiturn.messages import Origin
from multiturn.turns import Totals, Turn, TurnStatus, finished, in_order, pending_calls


def crashed(turn: Turn, drafts: Iterable[Draft], *, before: Totals, at: float, cancelled: bool = False) -> Turn:
    """The turn with what these drafts make: `incomplete`, or where it has run tools `paused`, so that it can go on from
    there. `before` are the parent's totals; `cancelled` says whether it had been asked to stop."""
    said, streamed, started = list(turn.output), list[Delta](), set(turn.calls_started)
    for draft in drafts:
        match draft:
            case Said(message=message):
                said.append(message)
                streamed.clear()
            case CallsStarted(call_ids=call_ids):
                started.update(call_ids)
            case ModelAsked():
                pass
            case _:
                streamed.append(draft)
    if said:
        left = tuple(call.call_id for call in pending_calls(said) if call.call_id in started)
        return finished(
            turn, TurnStatus.PAUSED, before=before, at=at, output=in_order(said), reason="crashed", calls_started=left
        )
    message = fold(streamed, origin=_origin(turn))
    output = (message,) if message.parts else ()
    reason = "interrupted" if cancelled else "crashed"
    return finished(turn, TurnStatus.INCOMPLETE, before=before, at=at, output=output, reason=reason)


def _origin(turn: Turn) -> Origin | None:
    """As much of the answer's origin as the model's name tells."""
    if turn.model is None:
        return None
    provider, colon, name = turn.model.partition(":")
    return Origin(provider=provider, model=name) if colon else Origin(provider=turn.model)
