"""What every store must do with turns that run tools: what was said is kept as it comes, and paused turns go on."""

from __future__ import annotations

import msgspec
import pytest

from multiturn.deltas import CallsStarted, Draft, Said, TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.messages import Message, Text, ToolCall, assistant, tool_result
from multiturn.stores.base import Store
from multiturn.stores.crashes import crashed
from multiturn.turns import Totals, Turn, TurnStatus, finished
from stores.saying import ended, new_turn, say

CALLS = Message("assistant", (ToolCall("call_1", "look"), ToolCall("call_2", "go")))


def paused(turn: Turn, *output: Message, reason: str = "approval") -> Turn:
    return finished(turn, TurnStatus.PAUSED, before=Totals(), at=2.0, output=output, reason=reason)


async def a_paused_turn(store: Store) -> Turn:
    turn = paused(await store.begin(new_turn()), CALLS, tool_result("call_1", "seen"))
    await store.finish(turn)
    return turn


async def test_a_paused_turn_is_kept_and_does_not_move_the_head(store: Store) -> None:
    first = await say(store)
    turn = await a_paused_turn(store)
    assert await store.turn(turn.id) == turn
    assert [call.call_id for call in turn.pending] == ["call_2"]
    record = await store.conversation("c")
    assert (record.head, record.latest) == (first.id, turn.id)


async def test_a_paused_turn_goes_on_and_ends(store: Store) -> None:
    turn = await a_paused_turn(store)
    again = await store.reopen(turn.id)
    assert again.status is TurnStatus.IN_PROGRESS
    assert again.output == turn.output
    assert (await store.turn(turn.id)).status is TurnStatus.IN_PROGRESS
    done = finished(again, TurnStatus.COMPLETED, before=Totals(), at=3.0, output=(*again.output, assistant("Zanzibar")))
    await store.finish(done)
    assert (await store.conversation("c")).head == turn.id
    assert await store.path(turn.id) == (done,)
    assert done.reason is None
    assert await store.check() == ()


async def test_a_paused_turn_is_found_by_its_words_once_it_has_ended(store: Store) -> None:
    turn = await a_paused_turn(store)
    assert await store.search("hello") == ()
    again = await store.reopen(turn.id)
    await store.finish(finished(again, TurnStatus.COMPLETED, before=Totals(), at=3.0, output=(assistant("Zanzibar"),)))
    for word in ("hello", "zanzibar"):
        assert [found.turn.id for found in await store.search(word)] == [turn.id]


async def test_a_failed_turn_goes_on_and_its_old_words_are_forgotten(store: Store) -> None:
    turn = ended(await store.begin(new_turn()), TurnStatus.FAILED, text="blunder")
    await store.finish(turn)
    again = await store.reopen(turn.id)
    await store.finish(finished(again, TurnStatus.COMPLETED, before=Totals(), at=3.0, output=(assistant("Zanzibar"),)))
    assert await store.search("blunder") == ()
    assert len(await store.search("zanzibar")) == 1
    assert await store.check() == ()


async def test_a_paused_turn_can_be_deleted(store: Store) -> None:
    turn = await a_paused_turn(store)
    assert await store.delete_turn(turn.id) == 1
    await a_paused_turn(store)
    await store.delete("c")
    await say(store, "d", "hello")
    assert len(await store.search("hello")) == 1
    assert await store.check() == ()


async def test_only_one_caller_goes_on(store: Store) -> None:
    turn = await a_paused_turn(store)
    await store.reopen(turn.id)
    with pytest.raises(ConversationBusy):
        await store.reopen(turn.id)


async def test_what_has_ended_or_was_passed_by_does_not_go_on(store: Store) -> None:
    done = await say(store)
    with pytest.raises(InvalidInput, match="is completed; only a paused or a failed one"):
        await store.reopen(done.id)
    turn = await a_paused_turn(store)
    await say(store)
    with pytest.raises(InvalidInput, match="gone on since"):
        await store.reopen(turn.id)
    with pytest.raises(NotFound):
        await store.reopen("turn_nowhere")
    assert await store.check() == ()


async def test_the_same_key_gives_the_paused_turn(store: Store) -> None:
    turn = paused(await store.begin(new_turn(), key="k"), CALLS)
    await store.finish(turn)
    assert (await store.begin(new_turn(), key="k")).id == turn.id


async def test_what_is_kept_is_there_before_the_turn_ends(store: Store) -> None:
    turn = await store.begin(new_turn())
    store.append(turn.id, [TextDelta("I will lo")])
    await store.keep(turn.id, [Said(CALLS), CallsStarted(("call_1", "call_2"))])
    await store.keep(turn.id, [Said(tool_result("call_2", "gone"))])
    done = finished(turn, TurnStatus.COMPLETED, before=Totals(), at=3.0, output=(assistant("done"),))
    await store.finish(done)
    assert await store.turn(turn.id) == done
    assert await store.check() == ()


def test_a_crash_between_tools_leaves_a_paused_turn() -> None:
    turn = new_turn()
    one, two = tool_result("call_1", "seen"), tool_result("call_2", "gone")
    drafts: list[Draft] = [TextDelta("I will lo"), Said(CALLS), CallsStarted(("call_1", "call_2")), Said(two)]
    left = crashed(turn, drafts, before=Totals(), at=3.0)
    assert (left.status, left.reason) == (TurnStatus.PAUSED, "crashed")
    assert left.output == (CALLS, two)
    assert left.calls_started == ("call_1",)
    more = crashed(left, [Said(one), TextDelta("So the")], before=Totals(), at=3.0)
    assert more.output == (CALLS, one, two)  # in the order of the calls
    assert more.calls_started == ()


def test_a_crash_without_tools_leaves_what_was_streamed() -> None:
    left = crashed(new_turn(), [TextDelta("So "), TextDelta("the")], before=Totals(), at=3.0)
    assert (left.status, left.reason, left.text) == (TurnStatus.INCOMPLETE, "crashed", "So the")
    assert left.output[0].parts == (Text("So the"),)


def test_a_turn_with_a_state_is_the_same_after_its_way_through_json() -> None:
    turn = msgspec.structs.replace(new_turn(), state={"cart": ["tea"], "total": 3.5})
    assert msgspec.json.decode(msgspec.json.encode(turn), type=Turn) == turn
