"""How often what streams in is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from multiturn.deltas import Draft, TextDelta
from multiturn.models.offline import OfflineModel
from multiturn.recording import Recording
from multiturn.stores.base import Store
from multiturn.turns import Turn


class Appended:
    """The part of a store that drafts go to."""

    def __init__(self) -> None:
        self.drafts: list[Sequence[Draft]] = []

    def append(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        self.drafts.append(drafts)


@pytest.mark.parametrize(("others", "background", "every_s"), [(0, False, 0.1), (499, False, 0.5), (499, True, 0.02)])
async def test_drafts_are_written_less_often_where_many_stream_and_nobody_follows(
    others: int, background: bool, every_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recording, "_streaming", {cast(Any, object()) for _ in range(others)})
    store, turn = Appended(), Turn(id="turn_1", conversation="c", background=background)
    written = Recording(cast(Store, store), turn, OfflineModel())
    written.add([TextDelta("one")])
    written.add([TextDelta("two")])
    assert store.drafts == [[TextDelta("one")]]  # the rest waits
    assert written._next_draft is not None
    wait_s = written._next_draft.when() - asyncio.get_running_loop().time()
    assert every_s / 2 < wait_s <= every_s
    written._next_draft.cancel()
