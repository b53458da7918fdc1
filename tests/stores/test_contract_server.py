"""What a server asks of every store: lists in the order in which things were made, turns that are found by what was
said, conversations that begin at another one's turn, and requests that are kept once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, NotFound
from multiturn.ids import new_id
from multiturn.stores import open_store, sealing
from multiturn.stores.base import Store
from multiturn.stores.records import EVERYTHING, ConversationRecord, Filter
from multiturn.turns import Turn, TurnStatus
from stores.saying import ended, new_turn, say, texts
from stores.urls import KINDS, ON_DISK, fresh_url

COMPLETION = "chat.completion"
HELLO, BYE = b"hello" * 3, b"bye" * 5
TOOLS = msgspec.json.encode({"tools": [{"type": "function", "name": f"look_{n}"} for n in range(20)]}).decode()


# --- in the order in which they were made -----------------------------------------------------------------------------


async def made(store: Store, kind: str, filter: Filter = EVERYTHING, **page: object) -> list[str]:
    return [record.id for record in await store.made(kind, filter=filter, **page)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [COMPLETION, "response"])
async def test_what_was_made_comes_in_pages_in_either_order(store: Store, kind: str) -> None:
    for n in (3, 1, 4, 0, 2):
        await store.create(ConversationRecord(id=f"c{n}", kind=kind))
    await store.create(ConversationRecord(id="c5", kind="message"))
    await store.tenant("other").create(ConversationRecord(id="c6", kind=kind))
    assert await made(store, kind) == ["c0", "c1", "c2", "c3", "c4"]
    assert await made(store, kind, newest_first=True, limit=2) == ["c4", "c3"]
    assert await made(store, kind, after="c1", limit=2) == ["c2", "c3"]
    assert await made(store, kind, after="c1", newest_first=True) == ["c0"]
    assert await made(store, kind, after="c4") == []
    assert await made(store, kind, after="c2 is not there") == ["c3", "c4"]
    assert await made(store, "conversation") == []


async def test_what_was_asked_for_by_name_is_a_kind_too(store: Store) -> None:
    await say(store, "b")
    await store.create(ConversationRecord(id="a"))
    assert await made(store, "conversation") == ["a", "b"]


async def test_what_was_made_can_be_filtered(store: Store) -> None:
    for n, model in enumerate(("m", "other", "m")):
        await store.begin(new_turn(f"c{n}", model=model), metadata={"n": str(n % 2)}, user="u", kind=COMPLETION)
    assert await made(store, COMPLETION, Filter(model="m")) == ["c0", "c2"]
    assert await made(store, COMPLETION, Filter(model="m", metadata={"n": "0"}), limit=1, newest_first=True) == ["c2"]
    assert await made(store, COMPLETION, Filter(model="none")) == []
    assert await made(store, COMPLETION, Filter(status=TurnStatus.COMPLETED)) == []
    assert await made(store, COMPLETION, Filter(kind="response")) == []
    assert [record.id for record in await store.conversations(filter=Filter(model="other"))] == ["c1"]


async def test_a_page_is_read_from_an_index(tmp_path: Path) -> None:
    """However many there are: no step of the plan sorts, or reads all of a table."""
    store = open_store(f"sqlite:///{tmp_path}/chats.db")
    await store.create(ConversationRecord(id="c", kind=COMPLETION))
    asked: list[str] = []
    with sqlite3.connect(tmp_path / "chats.db") as db:
        await store._read(lambda reader: reader.set_trace_callback(asked.append))  # type: ignore[attr-defined]
        await store.made(COMPLETION, after="b", newest_first=False)
        (statement,) = [each for each in asked if "chat.completion" in each]
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    db.close()
    assert "conversations_made" in plan[0]
    assert not [step for step in plan if "SCAN" in step or "TEMP" in step]
    await store.aclose()


# --- found by what was said -------------------------------------------------------------------------------------------


async def test_a_turn_is_found_by_what_was_said(store: Store) -> None:
    turn = await say(store)
    assert await store.noted([HELLO]) is None
    store.note(turn.id, HELLO)
    await settled(store)
    assert await store.noted([HELLO]) == (HELLO, turn.id)
    assert await store.noted([BYE, HELLO]) == (HELLO, turn.id)
    assert await store.noted([]) is None


async def test_the_first_that_is_known_counts_and_the_one_noted_last(store: Store) -> None:
    one, two = await say(store), await say(store)
    store.note(one.id, HELLO)
    store.note(two.id, BYE)
    await settled(store)
    assert await store.noted([b"?", HELLO, BYE]) == (HELLO, one.id)
    assert await store.noted([BYE, HELLO]) == (BYE, two.id)
    store.note(two.id, HELLO)
    store.note(one.id, BYE)
    store.note(two.id, BYE)
    await settled(store)
    assert await store.noted([HELLO]) == (HELLO, two.id)
    assert await store.noted([BYE]) == (BYE, two.id)


async def test_a_note_of_what_is_not_there_is_nothing(store: Store) -> None:
    turn = await say(store)
    store.note("turn_missing", HELLO)
    store.tenant("other").note(turn.id, HELLO)
    await settled(store)
    assert await store.noted([HELLO]) is None
    assert await store.tenant("other").noted([HELLO]) is None


async def test_tenants_may_have_said_the_same(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    turns = [await say(view) for view in (alice, bob)]
    alice.note(turns[0].id, HELLO)
    bob.note(turns[1].id, HELLO)
    await settled(store)
    assert [await view.noted([HELLO]) for view in (alice, bob)] == [(HELLO, turn.id) for turn in turns]
    await alice.delete("c")
    assert [await view.noted([HELLO]) for view in (alice, bob)] == [None, (HELLO, turns[1].id)]


async def test_a_note_goes_with_its_turn(store: Store) -> None:
    first, second, third = await say(store), await say(store), await say(store)
    for n, turn in enumerate((first, second, third)):
        store.note(turn.id, HELLO + bytes([n]))
    await settled(store)
    await store.withdraw(second.id)
    store.note(second.id, BYE)
    await settled(store)
    assert await store.noted([HELLO + b"\1", BYE]) is None
    await store.delete_turn(third.id)
    assert await store.noted([HELLO + b"\2"]) is None
    await store.create(ConversationRecord(id="fork", head=first.id))
    await store.delete("c")
    assert await store.noted([HELLO + b"\0"]) == (HELLO + b"\0", first.id)
    await store.delete("fork")
    assert await store.noted([HELLO + b"\0"]) is None


@pytest.mark.parametrize("kind", ON_DISK)
async def test_notes_are_there_for_the_next_process(kind: str, tmp_path: Path) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    turns = [await say(store, f"c{n}") for n in range(20)]
    for n, turn in enumerate(turns):
        store.note(turn.id, HELLO + bytes([n]))
    await store.aclose()
    store = open_store(url)
    for n, turn in enumerate(turns):
        assert await store.noted([HELLO + bytes([n])]) == (HELLO + bytes([n]), turn.id)
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_closed_store_takes_no_notes_and_does_not_raise(kind: str, tmp_path: Path) -> None:
    store = open_store(fresh_url(kind, tmp_path))
    turn = await say(store)
    await store.aclose()
    store.note(turn.id, HELLO)


@pytest.mark.parametrize("kind", ON_DISK)
async def test_what_was_said_cannot_be_guessed_from_a_sealed_store(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    turn = await say(store)
    store.note(turn.id, HELLO)
    await settled(store)
    await store.aclose()
    monkeypatch.setenv(sealing.KEY, sealing.new_key())
    store = open_store(url)
    assert await store.noted([HELLO]) is None
    assert await store.reseal() == 2
    store.note(turn.id, HELLO)
    await settled(store)
    assert await store.noted([HELLO]) == (HELLO, turn.id)
    await store.aclose()
    monkeypatch.delenv(sealing.KEY)
    store = open_store(url)
    assert await store.noted([HELLO]) is None
    await store.aclose()


async def settled(store: Store) -> None:
    """Come back when what was noted by now is written: it is written in this order."""
    mark = new_id("mark").encode()
    store.note((await say(store, "mark")).id, mark)
    async with asyncio.timeout(10):
        while await store.noted([mark]) is None:
            await asyncio.sleep(0.005)


# --- a conversation that begins at another one's turn -----------------------------------------------------------------


async def test_a_turn_begins_a_conversation_at_its_parent(store: Store) -> None:
    first, second = await say(store, "c", "1"), await say(store, "c", "2")
    turn = await store.begin(
        new_turn("fork", "2, otherwise"), parent=first.id, user="u", metadata={"k": "v"}, kind="response"
    )
    record = await store.conversation("fork")
    assert (record.head, record.latest, record.model) == (first.id, turn.id, "m")
    assert (record.user, record.metadata, record.kind) == ("u", {"k": "v"}, "response")
    await store.finish(ended(turn))
    assert await texts(store, (await store.conversation("fork")).head) == ["1", "2, otherwise"]
    assert (await store.conversation("c")).head == second.id
    assert {each.id for each in await store.family("c")} == {"c", "fork"}
    await store.delete("c")
    assert await texts(store, turn.id) == ["1", "2, otherwise"]


async def test_a_conversation_that_began_at_a_turn_stays_there_where_its_own_fails(store: Store) -> None:
    first = await say(store, "c", "1")
    turn = await store.begin(new_turn("fork", "2"), parent=first.id)
    await store.finish(ended(turn, TurnStatus.FAILED))
    assert (await store.conversation("fork")).head == first.id
    assert (await say(store, "fork", "2 again")).parent == first.id


async def test_it_begins_while_a_turn_runs_where_its_parent_was_made(store: Store) -> None:
    first = await say(store, "c", "1")
    running = await store.begin(new_turn("c", "2"))
    forks = await asyncio.gather(*(store.begin(new_turn(f"fork{n}"), parent=first.id) for n in range(8)))
    assert {fork.parent for fork in forks} == {first.id}
    for turn in (running, *forks):
        await store.finish(ended(turn))
    assert len(await store.tree("c")) == 10


async def test_of_many_that_begin_one_conversation_at_a_turn_one_does(store: Store) -> None:
    first, other = await say(store, "c", "1"), await say(store, "d", "1")
    begins = [store.begin(new_turn("fork"), parent=parent.id) for parent in (first, other) * 5]
    outcomes = await asyncio.gather(*begins, return_exceptions=True)
    assert sum(isinstance(outcome, Turn) for outcome in outcomes) == 1
    assert {type(outcome) for outcome in outcomes} <= {Turn, ConversationBusy, NotFound}


@pytest.mark.parametrize("gone", ["missing", "deleted", "withdrawn", "another's"])
async def test_where_there_is_no_such_parent_nothing_begins(store: Store, gone: str) -> None:
    first, _ = await say(store), await say(store)
    match gone:
        case "deleted":
            await store.delete_turn(first.id)
        case "withdrawn":
            await store.withdraw(first.id)
    view = store.tenant("other") if gone == "another's" else store
    with pytest.raises(NotFound):
        await view.begin(new_turn("fork"), parent="turn_missing" if gone == "missing" else first.id)
    with pytest.raises(NotFound):
        await view.conversation("fork")


@pytest.mark.parametrize("kind", ON_DISK)
async def test_what_a_gone_process_began_at_a_turn_is_closed(kind: str, tmp_path: Path) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    first = await say(store, "c", "1")
    turn = await store.begin(new_turn("fork", "2"), parent=first.id)
    await store.keep(turn.id, [TextDelta("so far")])
    await store.aclose()
    store = open_store(url)
    closed = await store.turn(turn.id)
    assert (closed.text, closed.totals.turns) == ("so far", 2)
    assert (await store.conversation("fork")).head == turn.id
    assert await store.check() == ()
    await store.aclose()


# --- what was asked ---------------------------------------------------------------------------------------------------


async def asked(store: Store, text: str | None, conversation: str = "c") -> Turn:
    turn = await store.begin(msgspec.structs.replace(new_turn(conversation), asked=text))
    turn = ended(turn)
    await store.finish(turn)
    return turn


@pytest.mark.parametrize("background", [False, True])
async def test_what_was_asked_comes_back_long_or_short(store: Store, background: bool) -> None:
    turns = []
    for text in (TOOLS, None, "{}", TOOLS, TOOLS, TOOLS + " ", "", None):
        turn = await store.begin(msgspec.structs.replace(new_turn(background=background), asked=text))
        assert await store.turn(turn.id) == turn
        turns.append(ended(turn))
        await store.finish(turns[-1])
    assert await store.path(turns[-1].id) == tuple(turns) == await store.tree("c")
    assert [await store.turn(turn.id) for turn in turns] == turns


async def test_what_was_asked_survives_that_a_turn_is_opened_again(store: Store) -> None:
    turn = await store.begin(msgspec.structs.replace(new_turn(), asked=TOOLS))
    await store.finish(ended(turn, TurnStatus.FAILED))
    assert (await store.reopen(turn.id)).asked == TOOLS
    await store.finish(ended(turn))
    assert await store.turn(turn.id) == ended(turn)


async def test_what_was_asked_goes_where_turns_go(store: Store) -> None:
    one, two = await asked(store, TOOLS), await asked(store, TOOLS)
    records = [await store.conversation("c")]
    other = store.tenant("other")
    await other.restore(records, [one, two])
    await store.delete("c")
    assert await other.path(two.id) == (one, two)
    await other.delete_turn(two.id)
    assert await other.turn(one.id) == one
    assert await other.check() == ()


async def test_the_same_request_is_kept_once(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/chats.db")
    for _ in range(20):
        await asked(store, TOOLS)
    with sqlite3.connect(tmp_path / "chats.db") as db:
        (kept,) = db.execute("SELECT count(*) FROM texts WHERE instr(body, 'look_7')").fetchone()
        (longest,) = db.execute("SELECT max(length(body)) FROM turns").fetchone()
        assert (kept, longest < len(TOOLS) / 4) == (1, True)
        await store.delete("c")
        assert db.execute("SELECT count(*) FROM texts WHERE NOT is_name").fetchone() == (0,)
    db.close()
    await store.aclose()


@pytest.mark.parametrize("kind", ON_DISK)
async def test_what_was_asked_is_sealed_like_all_else(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    turn = await asked(store, TOOLS)
    await store.aclose()
    monkeypatch.setenv(sealing.KEY, sealing.new_key())
    store = open_store(url)
    assert await store.reseal() == 1
    assert await store.turn(turn.id) == turn
    again = await asked(store, TOOLS)
    assert await store.path(again.id) == (turn, again)
    await store.aclose()
    if kind == "sqlite":
        assert b"look_7" not in (tmp_path / "chats.db").read_bytes()


# --- texts ------------------------------------------------------------------------------------------------------------


async def test_a_models_name_outlives_instructions_that_say_the_same(store: Store) -> None:
    """Found on the way: whoever deleted instructions that were the name of a model took that from everybody."""
    named = await say(store, "c", model="a model")
    for conversation in ("d", "e"):
        await store.begin(Turn(id=new_id("turn"), conversation=conversation, instructions="a model", asked=TOOLS))
    for turn in [*await store.tree("d"), *await store.tree("e")]:
        await store.finish(ended(turn))
    await say(store, "d", model="a model")
    for conversation in ("d", "e"):
        await store.delete(conversation)
    assert await store.turn(named.id) == named
    assert (await say(store, "c", model="a model")).model == "a model"


async def test_instructions_that_no_turn_ran_under_leave_nothing(store: Store) -> None:
    await store.create(ConversationRecord(id="c", instructions="be brief"))
    await say(store, "c")
    assert (await store.conversation("c")).instructions is None
