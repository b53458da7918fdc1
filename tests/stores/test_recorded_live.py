"""What a run in the background leaves for those who follow it: every piece that was shown, in the order in which it
was."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from multiturn import recording
from multiturn.cancel import Cancel
from multiturn.deltas import CallsStarted, Draft, ModelAsked, Said, TextDelta
from multiturn.errors import ProviderFailed, RunCancelled
from multiturn.messages import Message, ToolCall
from multiturn.path import Path
from multiturn.request import Request
from multiturn.runs import Item, Run
from multiturn.stores.base import Store
from multiturn.tools import tool
from multiturn.turns import TurnStatus
from scripted import ScriptedModel, message
from stores.live import followed
from stores.saying import new_turn

LONG = " ".join(f"word{n}" for n in range(40))


async def begin(store: Store, model: ScriptedModel) -> recording.Recording:
    turn = new_turn(background=True)
    return await recording.begin(store, turn, model, parent=None, user=None, metadata=None, key=None, queue=False)


async def run(written: recording.Recording, running: Run, cancel: Cancel | None = None) -> list[Item]:
    """What happens, as a caller sees it."""
    seen: list[Item] = []
    await written.asking()
    async with aclosing(recording.recorded(running, written, cancel)) as items:
        async for item in items:
            seen.append(item)
            if cancel is not None and len(seen) == 20:
                cancel.cancel()
    return seen


def request() -> Request:
    return Request(path=Path(), input=new_turn().input, stream=True)


async def test_followers_see_all_that_was_streamed_to_the_last_word(store: Store) -> None:
    model = ScriptedModel(lambda request: LONG, delay_s=0.002)
    written = await begin(store, model)
    follower = asyncio.create_task(followed(store, written.turn.id))
    seen = await run(written, Run(model, request()))
    drafts, end = await follower
    assert drafts == [ModelAsked(), *(item for item in seen if isinstance(item, TextDelta))]
    assert (end, end.text) == (written.turn, LONG)


async def test_followers_see_what_is_streamed_before_and_after_tools(store: Store) -> None:
    @tool
    def look() -> str:
        """Look."""
        return "nothing there"

    def reply(request: Request) -> str | Message:
        if request.messages[-1].role == "tool":
            return LONG
        return message("let me look", ToolCall(call_id="call_1", name="look", arguments="{}"))

    model = ScriptedModel(reply)
    written = await begin(store, model)
    seen = await run(written, Run(model, request(), tools={"look": look}))
    drafts, end = await followed(store, written.turn.id)
    kept = (TextDelta, Said, CallsStarted)
    assert drafts == [ModelAsked(), *(item for item in seen if isinstance(item, kept))]
    assert end == written.turn


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_followers_see_what_was_streamed_before_a_run_broke_off(store: Store, how: str) -> None:
    failing = ScriptedModel(lambda request: ProviderFailed("no"), words_before_error=tuple(LONG.split(" ")))
    model = failing if how == "failed" else ScriptedModel(lambda request: LONG, delay_s=0.001)
    written = await begin(store, model)
    with pytest.raises(ProviderFailed if how == "failed" else RunCancelled):
        await run(written, Run(model, request()), None if how == "failed" else Cancel())
    drafts, end = await followed(store, written.turn.id)
    assert end.status is (TurnStatus.FAILED if how == "failed" else TurnStatus.INCOMPLETE)
    assert "".join(draft.text for draft in drafts if isinstance(draft, TextDelta)) == end.text != ""


async def test_that_the_model_is_asked_is_written_down_for_turns_in_the_background_only() -> None:
    class Refusing:
        async def keep(self, turn_id: str, drafts: list[Draft]) -> None:
            raise AssertionError(drafts)

    for store in (None, Refusing()):
        await recording.Recording(store, new_turn(), ScriptedModel()).asking()  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="ModelAsked"):
        await recording.Recording(Refusing(), new_turn(background=True), ScriptedModel()).asking()  # type: ignore[arg-type]
