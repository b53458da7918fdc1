"""What every store must do for turns that run in the background, run against each of them."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from multiturn.deltas import CallsStarted, Draft, ModelAsked, Said, TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.messages import Message, assistant, tool_result
from multiturn.stores.base import Store
from multiturn.turns import Turn, TurnStatus
from stores.live import asked, begun, followed, words
from stores.saying import ended, new_turn, say

# --- following --------------------------------------------------------------------------------------------------------


async def test_a_follower_is_given_each_draft_as_it_is_written_and_the_turn_at_last(store: Store) -> None:
    turn = await begun(store)
    items = store.follow(turn.id)
    await store.keep(turn.id, [ModelAsked()])
    assert await anext(items) == (ModelAsked(),)
    store.append(turn.id, [TextDelta("h"), TextDelta("i")])
    assert await anext(items) == (TextDelta("h"), TextDelta("i"))
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.finish(ended(turn))
    assert await waiting == await store.turn(turn.id)
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_who_comes_late_is_given_everything_from_the_beginning(store: Store) -> None:
    turn = await asked(store, "c", "h", "i")
    late = asyncio.create_task(followed(store, turn.id))
    store.append(turn.id, [TextDelta("!")])
    end = ended(turn, text="hi!")
    await store.finish(end)
    expected: list[Draft] = [ModelAsked(), TextDelta("h"), TextDelta("i"), TextDelta("!")]
    assert await late == (expected, end)
    assert await followed(store, turn.id) == (expected, end)


async def test_many_followers_are_given_everything_once_each_in_its_own_time(store: Store) -> None:
    turn, count = await asked(store), 700
    chance = random.Random(1)

    async def follow_slowly(every_s: float) -> list[str]:
        seen: list[str] = []
        async for item in store.follow(turn.id):
            if not isinstance(item, Turn):
                seen += words(item)
                await asyncio.sleep(every_s)
        return seen

    followers = [asyncio.create_task(follow_slowly(every_s)) for every_s in (0, 0, 0.001, 0.02)]
    for number in range(count):
        store.append(turn.id, [TextDelta(str(number))])
        if number % 50 == 0:
            await asyncio.sleep(chance.uniform(0, 0.01))
    await store.finish(ended(turn))
    expected = [str(number) for number in range(count)]
    assert [await follower for follower in followers] == [expected] * 4
    assert words((await followed(store, turn.id))[0]) == expected


async def test_what_is_kept_at_once_by_many_is_given_once_and_between_what_came_before_and_after(store: Store) -> None:
    for name in range(5):
        turn = await asked(store, f"c{name}")
        follower = asyncio.create_task(followed(store, turn.id))
        results = [Said(Message("tool", tool_result(f"call_{n}", "done").parts)) for n in range(12)]
        started = CallsStarted(tuple(f"call_{n}" for n in range(12)))
        store.append(turn.id, [started])
        await asyncio.gather(*(store.keep(turn.id, [result]) for result in results))
        store.append(turn.id, [TextDelta("all done")])
        await store.finish(ended(turn))
        drafts, _ = await follower
        assert {each.message.tool_results[0].call_id for each in drafts if isinstance(each, Said)} == set(
            started.call_ids
        )
        assert (len(drafts), drafts[1], drafts[-1]) == (15, started, TextDelta("all done"))


async def test_a_follower_may_live_on_another_event_loop(store: Store) -> None:
    turn = await asked(store)
    follower = asyncio.create_task(asyncio.to_thread(asyncio.run, followed(store, turn.id)))
    for word in ("h", "i"):
        store.append(turn.id, [TextDelta(word)])
        await asyncio.sleep(0.01)
    await store.finish(ended(turn))
    drafts, end = await follower
    assert (words(drafts), end) == (["h", "i"], await store.turn(turn.id))


async def test_a_follower_may_leave_at_any_time(store: Store) -> None:
    turn = await asked(store, "c", "h")
    items = store.follow(turn.id)
    await anext(items)
    await items.aclose()
    waiting = asyncio.create_task(followed(store, turn.id))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.finish(ended(turn))
    assert words((await followed(store, turn.id))[0]) == ["h"]


async def test_a_turn_that_its_caller_waits_for_is_not_followed(store: Store) -> None:
    turn = await store.begin(new_turn())
    store.append(turn.id, [TextDelta("h")])
    with pytest.raises(InvalidInput, match="not kept"):
        await followed(store, turn.id)
    await store.finish(ended(turn))
    with pytest.raises(InvalidInput, match="not kept"):
        await followed(store, turn.id)
    with pytest.raises(NotFound):
        await followed(store, "turn_missing")


async def test_a_turn_that_is_deleted_is_not_followed_to_its_end(store: Store) -> None:
    turn = await asked(store)
    for number in range(600):
        store.append(turn.id, [TextDelta(str(number))])
    await store.finish(ended(turn))
    items = store.follow(turn.id)
    await anext(items)
    await store.delete_turn(turn.id)
    with pytest.raises(NotFound):
        await anext(items)
    again = await begun(store)  # on the place where that one was
    await store.finish(ended(again))
    assert await followed(store, again.id) == ([], await store.turn(again.id))


async def test_one_who_goes_on_is_followed_from_there(store: Store) -> None:
    turn = await asked(store, "c", "old")
    before = store.follow(turn.id)
    await anext(before)
    paused = msgspec.structs.replace(ended(turn, TurnStatus.PAUSED, reason="result"), output=(assistant("old"),))
    await store.finish(paused)
    assert await anext(before) == paused
    assert await store.take() is None
    reopened = await store.reopen(turn.id)
    late = asyncio.create_task(followed(store, turn.id))
    store.append(turn.id, [TextDelta("new")])
    end = ended(reopened, text="new")
    await store.finish(end)
    assert await late == ([TextDelta("new")], end)


# --- forgetting -------------------------------------------------------------------------------------------------------


async def test_drafts_are_forgotten_by_the_time_at_which_their_turns_ended(store: Store) -> None:
    turns = [await asked(store, f"c{n}", "hi") for n in range(4)]
    for at, turn in enumerate(turns[:3]):
        await store.finish(ended(turn, at=float(at)))
    assert await store.forget_drafts(2.0) == 2
    assert await store.forget_drafts(2.0) == 0
    for turn in turns[:2]:
        with pytest.raises(InvalidInput, match="any more"):
            await followed(store, turn.id)
        assert (await store.turn(turn.id)).text == "hi"
    assert words((await followed(store, turns[2].id))[0]) == ["hi"]
    assert await store.forget_drafts(1e12) == 1
    await store.finish(ended(turns[3]))
    assert words((await followed(store, turns[3].id))[0]) == ["hi"]


async def test_many_are_forgotten_of_all_tenants(store: Store) -> None:
    for n in range(110):
        view = store.tenant("acme" if n % 2 else "")
        await view.finish(ended(await begun(view, f"c{n}")))
    assert await store.tenant("acme").forget_drafts(1e12) == 110


async def test_who_is_behind_is_told_that_the_rest_was_forgotten(store: Store) -> None:
    turn = await asked(store)
    for number in range(600):
        store.append(turn.id, [TextDelta(str(number))])
    await store.finish(ended(turn))
    items = store.follow(turn.id)
    await anext(items)
    await store.forget_drafts(1e12)
    with pytest.raises(InvalidInput, match="any more"):
        await anext(items)


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_who_runs_a_turn_learns_that_it_shall_stop(store: Store) -> None:
    turns = [await asked(store, f"c{n}") for n in range(3)]
    acme = store.tenant("acme")
    theirs = await asked(acme)
    assert await store.cancelled() == frozenset()
    assert await store.cancel(turns[1].id) == turns[1]
    assert await store.cancel(turns[1].id) == turns[1]
    assert await acme.cancel(theirs.id) == theirs
    assert await store.cancelled() == {turns[1].id, theirs.id} == await acme.cancelled()
    await store.finish(ended(turns[1], TurnStatus.INCOMPLETE, reason="interrupted"))
    assert await store.cancelled() == {theirs.id}


async def test_to_stop_what_has_ended_changes_nothing(store: Store) -> None:
    turn = await asked(store)
    await store.finish(end := ended(turn))
    assert await store.cancel(turn.id) == end == await store.turn(turn.id)
    assert await store.forget_drafts(1e12) == 1
    assert await store.cancel(turn.id) == end
    assert await store.cancelled() == frozenset()


async def test_only_turns_in_the_background_are_stopped_by_others(store: Store) -> None:
    turn = await store.begin(new_turn())
    with pytest.raises(InvalidInput, match="background"):
        await store.cancel(turn.id)
    with pytest.raises(NotFound):
        await store.cancel("turn_missing")
    await store.finish(ended(turn))


async def test_a_turn_that_goes_on_is_not_stopped_by_an_old_wish(store: Store) -> None:
    turn = await asked(store)
    await store.cancel(turn.id)
    await store.finish(ended(turn, TurnStatus.FAILED))
    turn = await store.reopen(turn.id)
    assert await store.cancelled() == frozenset()
    await store.finish(ended(turn))


async def test_there_is_nothing_to_take_or_to_close_of_what_runs_here(store: Store) -> None:
    turns = [await begun(store, "c0"), await asked(store, "c1"), await store.begin(new_turn("c2"))]
    await store.recover()
    assert await store.take() is None
    for turn in turns:
        assert (await store.turn(turn.id)).status is TurnStatus.IN_PROGRESS
        await store.finish(ended(turn))


# --- withdrawing ------------------------------------------------------------------------------------------------------


async def test_a_turn_that_nobody_follows_is_withdrawn_for_good(store: Store) -> None:
    first, last = await say(store, "c", "1"), await say(store, "c", "2")
    await store.withdraw(last.id)
    assert (await store.conversation("c")).head == first.id
    assert await store.tree("c") == (first,)


async def test_a_turn_that_others_follow_is_withdrawn_and_stays_on_their_paths(store: Store) -> None:
    first, second, third = await say(store, "c", "apple"), await say(store, "c", "apple 2"), await say(store, "c", "3")
    await store.withdraw(second.id)
    assert await store.path(third.id) == (first, second, third) == await store.tree("c")
    assert await store.path(third.id, after=second.id) == (third,)
    assert [each.turn for each in await store.search("apple")] == [first]
    await store.withdraw(first.id)
    assert await store.search("apple") == ()
    fourth = await say(store, "c", "4")
    assert await store.path(fourth.id) == (first, second, third, fourth)


async def test_a_withdrawn_turn_is_not_found_by_its_id(store: Store) -> None:
    turn = await asked(store)
    await store.finish(ended(turn))
    await say(store, "c", "2")
    await store.withdraw(turn.id)
    with pytest.raises(NotFound):
        await store.begin(new_turn("c"), parent=turn.id)
    with pytest.raises(NotFound):
        await store.create(msgspec.structs.replace(await store.conversation("c"), id="fork", head=turn.id))
    with pytest.raises(NotFound):
        await store.move_head("c", turn.id)
    with pytest.raises(NotFound):
        await followed(store, turn.id)
    for ask in (store.turn, store.path, store.cancel, store.reopen, store.delete_turn, store.withdraw):
        with pytest.raises(NotFound):
            await ask(turn.id)
    with pytest.raises(NotFound):
        await store.finish(ended(turn, text="again"))
    record = msgspec.structs.replace(await store.conversation("c"), id="copy", head=turn.id, latest=turn.id)
    with pytest.raises(InvalidInput, match=turn.id):  # its id is taken all the same
        await store.restore([record], [ended(msgspec.structs.replace(turn, conversation="copy"))])


async def test_a_withdrawn_turn_goes_with_the_last_that_follows_it(store: Store) -> None:
    first, second, third = await say(store, "c", "1"), await say(store, "c", "2"), await say(store, "c", "3")
    sibling = await say(store, "c", "3, otherwise", parent=second.id)
    await store.withdraw(second.id)
    await store.delete_turn(third.id)
    assert await store.path(sibling.id) == (first, second, sibling)
    await store.withdraw(sibling.id)
    assert await store.tree("c") == (first,)
    assert (await store.conversation("c")).head == first.id


async def test_a_withdrawn_turn_goes_with_its_conversation(store: Store) -> None:
    first, second = await say(store, "c", "1"), await say(store, "c", "2")
    await store.create(msgspec.structs.replace(await store.conversation("c"), id="fork", head=second.id))
    await say(store, "fork", "3")
    await store.withdraw(second.id)
    assert (await store.conversation("c")).head == first.id
    await store.delete("fork")
    assert await store.tree("c") == (first,)
    await store.delete("c")
    assert (await store.statistics()).turns == 0


async def test_conversations_stand_on_the_next_above_that_can_be_found(store: Store) -> None:
    first, second, third = await say(store, "c", "1"), await say(store, "c", "2"), await say(store, "c", "3")
    await say(store, "c", "4")
    for id in ("standing", "other"):
        await store.create(msgspec.structs.replace(await store.conversation("c"), id=id, head=third.id))
    await say(store, "other", "4, otherwise")
    await store.withdraw(second.id)
    await store.withdraw(third.id)
    record = await store.conversation("standing")
    assert (record.head, record.latest) == (first.id, first.id)
    await store.withdraw(first.id)
    assert (await store.conversation("standing")).head is None
    assert (await say(store, "standing", "1, otherwise")).parent is None


async def test_what_runs_is_not_withdrawn_but_what_it_follows_is(store: Store) -> None:
    first = await say(store, "c", "1")
    running = await begun(store)
    with pytest.raises(ConversationBusy):
        await store.withdraw(running.id)
    await store.withdraw(first.id)
    end = ended(running)
    await store.finish(end)
    assert await store.path(running.id) == (first, end)


async def test_an_idempotency_key_leads_to_no_withdrawn_turn(store: Store) -> None:
    first = await store.begin(new_turn(), key="k")
    await store.finish(ended(first))
    await say(store, "c", "2")
    await store.withdraw(first.id)
    again = await store.begin(new_turn(), key="k")
    assert again.id != first.id
    await store.finish(ended(again))
