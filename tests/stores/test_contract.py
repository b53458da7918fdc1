"""What every store must do, run against each of them."""

from __future__ import annotations

import asyncio

import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.ids import new_id
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Cursor
from multiturn.turns import Turn, TurnStatus
from stores.saying import ended, new_turn, say, texts


async def test_a_turn_is_readable_from_the_moment_it_begins(store: Store) -> None:
    turn = await store.begin(new_turn())
    assert await store.turn(turn.id) == turn
    assert turn.status is TurnStatus.IN_PROGRESS


async def test_the_first_turn_creates_its_conversation(store: Store) -> None:
    turn = await store.begin(new_turn(), metadata={"user": "alice"})
    record = await store.conversation("c")
    assert (record.head, record.latest, record.model, record.metadata) == (None, turn.id, "m", {"user": "alice"})


async def test_finishing_a_turn_moves_the_head_to_it(store: Store) -> None:
    first, second = await say(store), await say(store)
    assert (first.parent, second.parent) == (None, first.id)
    assert (await store.conversation("c")).head == second.id
    assert await store.path(second.id) == (first, second)


@pytest.mark.parametrize(
    ("status", "text", "moves"),
    [
        (TurnStatus.COMPLETED, "hi", True),
        (TurnStatus.INCOMPLETE, "h", True),  # what was shown stays said
        (TurnStatus.INCOMPLETE, "", False),  # stopped before the first word
        (TurnStatus.FAILED, "h", False),
    ],
)
async def test_the_head_moves_only_to_what_the_next_turn_shall_see(
    store: Store, status: TurnStatus, text: str, moves: bool
) -> None:
    turn = await store.begin(new_turn())
    await store.finish(ended(turn, status, text=text))
    assert (await store.conversation("c")).head == (turn.id if moves else None)
    assert (await store.turn(turn.id)).status is status


async def test_while_a_turn_runs_no_other_begins_on_its_conversation(store: Store) -> None:
    turn = await store.begin(new_turn())
    with pytest.raises(ConversationBusy):
        await store.begin(new_turn())
    await store.begin(new_turn("another"))
    await store.finish(ended(turn))
    assert (await store.begin(new_turn())).parent == turn.id


async def test_a_turn_that_could_not_begin_leaves_nothing(store: Store) -> None:
    await store.begin(new_turn())
    refused = new_turn()
    with pytest.raises(ConversationBusy):
        await store.begin(refused)
    with pytest.raises(NotFound):
        await store.turn(refused.id)


async def test_of_many_that_begin_at_once_one_does(store: Store) -> None:
    outcomes = await asyncio.gather(*(store.begin(new_turn()) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Turn) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConversationBusy) for outcome in outcomes) == 19


async def test_a_turn_ends_once(store: Store) -> None:
    turn = await store.begin(new_turn())
    await store.finish(ended(turn))
    with pytest.raises(ConversationBusy):
        await store.finish(ended(turn, text="again"))
    assert (await store.turn(turn.id)).text == "hi"


async def test_siblings_share_what_came_before_them(store: Store) -> None:
    first = await say(store, "c", "1")
    await say(store, "c", "2")
    sibling = await say(store, "c", "2, otherwise", parent=first.id)
    child = await say(store, "c", "3")
    assert sibling.parent == first.id
    assert await texts(store, child.id) == ["1", "2, otherwise", "3"]


async def test_a_second_root_starts_an_empty_path(store: Store) -> None:
    await say(store, "c", "1")
    other = await say(store, "c", "1, otherwise", parent=None)
    assert await texts(store, other.id) == ["1, otherwise"]


async def test_siblings_of_siblings_keep_their_own_paths(store: Store) -> None:
    root = await say(store, "c", "r")
    leaves = []
    for n in range(5):
        middle = await say(store, "c", f"m{n}", parent=root.id)
        leaves += [await say(store, "c", f"m{n}.{k}", parent=middle.id) for k in range(3)]
    assert [await texts(store, leaf.id) for leaf in leaves] == [
        ["r", f"m{n}", f"m{n}.{k}"] for n in range(5) for k in range(3)
    ]


async def test_a_fork_goes_its_own_way(store: Store) -> None:
    first, second = await say(store, "c", "1"), await say(store, "c", "2")
    await store.create(ConversationRecord(id="fork", head=first.id, model="other", instructions="be brief"))
    mine = await say(store, "fork", "2f")
    assert await texts(store, mine.id) == ["1", "2f"]
    assert (await store.conversation("c")).head == second.id
    assert (await store.conversation("fork")).head == mine.id


async def test_a_created_conversation_keeps_what_it_was_given(store: Store) -> None:
    record = await store.create(ConversationRecord(id="new", model="m", instructions="i", metadata={"k": "v"}))
    assert record == await store.conversation("new")
    assert (record.head, record.model, record.instructions, record.metadata) == (None, "m", "i", {"k": "v"})


async def test_an_id_is_created_once(store: Store) -> None:
    await say(store)
    with pytest.raises(InvalidInput, match="'c'"):
        await store.create(ConversationRecord(id="c"))


async def test_the_tree_holds_every_turn_and_parents_come_first(store: Store) -> None:
    first = await say(store, "c", "1")
    failed = await store.begin(new_turn("c", "2"))
    await store.finish(ended(failed, TurnStatus.FAILED))
    await say(store, "c", "2 again")
    await store.create(ConversationRecord(id="fork", head=first.id))
    await say(store, "fork", "2f")
    await say(store, "stranger", "not ours")
    turns = await store.tree("c")
    assert sorted(turn.input[0].text for turn in turns) == ["1", "2", "2 again", "2f"]
    seen: set[str | None] = {None}
    for turn in turns:
        assert turn.parent in seen
        seen.add(turn.id)


async def test_instructions_belong_to_their_turn(store: Store) -> None:
    for words in ("be brief", None, "be long", "be brief"):
        turn = await store.begin(Turn(id=new_id("turn"), conversation="c", instructions=words, model="m"))
        await store.finish(ended(turn))
    path = await store.path(turn.id)
    assert [turn.instructions for turn in path] == ["be brief", None, "be long", "be brief"]
    assert (await store.conversation("c")).instructions == "be brief"


async def test_conversations_come_last_updated_first_and_in_pages(store: Store) -> None:
    for n in range(5):
        turn = await store.begin(new_turn(f"c{n}", at=float(n)))
        await store.finish(ended(turn, at=10.0 + n))
    page = await store.conversations(limit=2)
    assert [record.id for record in page] == ["c4", "c3"]
    rest = await store.conversations(limit=10, after=Cursor(page[-1].updated_at, page[-1].id))
    assert [record.id for record in rest] == ["c2", "c1", "c0"]


async def test_the_head_can_be_moved_back_and_away(store: Store) -> None:
    first, second = await say(store, "c", "1"), await say(store, "c", "2")
    await store.move_head("c", first.id)
    assert (await say(store, "c", "2b")).parent == first.id
    await store.move_head("c", None)
    record = await store.conversation("c")
    assert (record.head, record.latest) == (None, None)
    assert (await store.turn(second.id)).text == "re: 2"


async def test_the_head_stays_on_its_own_tree(store: Store) -> None:
    await say(store)
    stranger = await say(store, "other")
    with pytest.raises(NotFound):
        await store.move_head("c", stranger.id)
    with pytest.raises(NotFound):
        await store.begin(new_turn(), parent=stranger.id)


async def test_nothing_moves_or_goes_while_a_turn_runs(store: Store) -> None:
    await store.begin(new_turn())
    with pytest.raises(ConversationBusy):
        await store.move_head("c", None)
    with pytest.raises(ConversationBusy):
        await store.delete("c")


async def test_deleting_takes_the_turns_along(store: Store) -> None:
    turn = await say(store)
    await store.delete("c")
    with pytest.raises(NotFound):
        await store.conversation("c")
    with pytest.raises(NotFound):
        await store.turn(turn.id)


async def test_deleting_leaves_what_others_stand_on(store: Store) -> None:
    first, second = await say(store, "c", "1"), await say(store, "c", "2")
    await store.create(ConversationRecord(id="fork", head=first.id))
    mine = await say(store, "fork", "2f")
    await store.delete("c")
    assert await texts(store, mine.id) == ["1", "2f"]
    with pytest.raises(NotFound):
        await store.turn(second.id)
    await store.delete("fork")
    with pytest.raises(NotFound):
        await store.turn(first.id)


async def test_deleting_leaves_what_others_have_made_and_left(store: Store) -> None:
    first = await say(store, "c", "1")
    await store.create(ConversationRecord(id="fork", head=first.id))
    left = await say(store, "fork", "said, then reset")
    await store.move_head("fork", None)
    await store.delete("c")
    assert await texts(store, left.id) == ["1", "said, then reset"]


@pytest.mark.parametrize("id", ["", "missing", "turn_missing", "'; DROP TABLE turns; --"])
async def test_what_is_not_there_is_not_found(store: Store, id: str) -> None:
    await say(store)
    for ask in (store.conversation, store.turn, store.path, store.tree, store.delete):
        with pytest.raises(NotFound):
            await ask(id)
    with pytest.raises(NotFound):
        await store.create(ConversationRecord(id="new", head=id))
    with pytest.raises(NotFound):
        await store.begin(new_turn(), parent=id)
    with pytest.raises(NotFound):
        await store.conversation("new")


async def test_deltas_of_a_turn_that_ended_are_forgotten(store: Store) -> None:
    turn = await store.begin(new_turn())
    store.append(turn.id, [TextDelta("h")])
    await store.finish(ended(turn))
    store.append(turn.id, [TextDelta("late")])
    assert (await store.turn(turn.id)).text == "hi"


async def test_odd_texts_come_back_as_they_were(store: Store) -> None:
    odd = "nul \0, quote ', line\u2028separator, emoji 🎭, rtl \u202e, combining e\u0301"
    turn = await say(store, "id with ' and 🎭", odd)
    assert await store.path(turn.id) == (turn,)
    assert (await store.conversation("id with ' and 🎭")).head == turn.id


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.aclose()
    await store.aclose()
    with pytest.raises(Exception, match="closed"):
        await store.conversation("c")


async def test_a_path_is_read_from_where_one_knows_it(store: Store) -> None:
    first = await say(store, "c", "one")
    second = await say(store, "c", "two")
    third = await say(store, "c", "three")
    fork = await say(store, "c", "else", parent=second.id)
    assert await store.path(third.id, after=first.id) == (second, third)
    assert await store.path(fork.id, after=second.id) == (fork,)
    assert await store.path(fork.id, after=first.id) == (second, fork)
    assert await store.path(third.id, after=third.id) == ()
    assert await store.path(fork.id, after=third.id) == (first, second, fork)  # not on the way
    assert await store.path(second.id, after=third.id) == (first, second)  # behind it
    assert await store.path(second.id, after="turn_nowhere") == (first, second)
    with pytest.raises(NotFound):
        await store.path("turn_nowhere", after=first.id)
