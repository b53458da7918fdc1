"""Tenants share a store, and none can tell that there are others."""

from __future__ import annotations

import gc
import inspect
import io
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from multiturn import Conversation, open_store
from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, MultiturnError, NotFound, Sealed, SearchOff
from multiturn.messages import Image, Inline, user
from multiturn.stores import sealing
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Cursor, Filter, Retention
from multiturn.transfer import Imported, export, import_
from multiturn.turns import Turn, TurnStatus
from stores.saying import ended, new_turn, say
from stores.urls import ON_DISK, fresh_url

PICTURE = Inline(b"\x89PNG" + bytes(2000), "image/png")

ALICES = Turn(id="turn_alices", conversation="c", input=(user("the secret word"),), created_at=1.0, model="m")
WAITS = Turn(id="turn_waits", conversation="d", input=(user("wait"),), created_at=1.0, model="m", background=True)


# What somebody could try with the ids of another tenant, by the method that would answer.
ATTEMPTS: dict[str, list[Callable[[Store], Awaitable[object]]]] = {
    "conversation": [lambda s: s.conversation("c")],
    "conversations": [
        lambda s: s.conversations(),
        lambda s: s.conversations(filter=Filter(user="alice")),
        lambda s: s.conversations(filter=Filter(metadata={"k": "v"}, status=TurnStatus.COMPLETED, kind="response")),
        lambda s: s.conversations(after=Cursor(1e12, "z")),
    ],
    "made": [lambda s: s.made("response"), lambda s: s.made("conversation", newest_first=True)],
    "create": [lambda s: s.create(ConversationRecord(id="fork", head="turn_alices"))],
    "update": [lambda s: s.update("c", metadata={"mine": "yes"})],
    "turn": [lambda s: s.turn("turn_alices")],
    "path": [lambda s: s.path("turn_alices"), lambda s: s.path("turn_waits", after="turn_alices")],
    "tree": [lambda s: s.tree("c")],
    "family": [lambda s: s.family("c")],
    "begin": [lambda s: s.begin(new_turn("c"), parent="turn_alices"), lambda s: s.begin(new_turn("d"), parent="none")],
    "note": [lambda s: noted_by(s, "turn_alices", b"mine")],
    "noted": [lambda s: s.noted([b"hers", b"mine"])],
    "append": [lambda s: appended(s, "turn_waits")],
    "keep": [lambda s: s.keep("turn_waits", [TextDelta("mine")])],
    "reopen": [lambda s: s.reopen("turn_alices")],
    "finish": [lambda s: s.finish(ended(WAITS)), lambda s: s.finish(ended(ALICES))],
    "move_head": [lambda s: s.move_head("c", None), lambda s: s.move_head("c", "turn_alices")],
    "follow": [lambda s: followed(s, "turn_waits")],
    "cancel": [lambda s: s.cancel("turn_waits")],
    "withdraw": [lambda s: s.withdraw("turn_alices")],
    "search": [lambda s: s.search("secret"), lambda s: s.search("secret", user="alice")],
    "usage": [lambda s: s.usage("conversation"), lambda s: s.usage("user"), lambda s: s.usage("day", since=0.0)],
    "statistics": [lambda s: counts(s)],
    "delete": [lambda s: s.delete("c"), lambda s: s.delete("d")],
    "delete_turn": [lambda s: s.delete_turn("turn_alices"), lambda s: s.delete_turn("turn_waits")],
    "delete_user": [lambda s: s.delete_user("alice")],
    "collect": [lambda s: collected(s)],
    "restore": [
        lambda s: s.restore([ConversationRecord(id="r", head="turn_alices")], []),
        lambda s: s.restore([ConversationRecord(id="r")], [after_alices()]),
    ],
}
OF_THE_WHOLE_STORE = {
    *("url", "closed", "aclose", "tenant", "tenants", "create_key", "key", "keys", "revoke_key"),
    *("reseal", "check", "cancelled", "take", "recover", "forget_drafts"),
}


def after_alices() -> Turn:
    return msgspec.structs.replace(ended(new_turn("r")), parent=ALICES.id)


async def followed(store: Store, turn_id: str) -> list[object]:
    return [item async for item in store.follow(turn_id)]


async def appended(store: Store, turn_id: str) -> None:
    store.append(turn_id, [TextDelta("mine")])
    await store.conversations()


async def noted_by(store: Store, turn_id: str, digest: bytes) -> object:
    store.note(turn_id, digest)
    await store.conversations()
    return await store.noted([digest])


async def counts(store: Store) -> object:
    there = await store.statistics()
    return there.conversations, there.turns, there.attachments, there.biggest, there.turns_by_day


async def collected(store: Store) -> object:
    gone = await store.collect(Retention(age_s=0, keep=0))
    return gone.conversations, gone.turns, gone.attachments


async def outcome(attempt: Awaitable[object]) -> str:
    try:
        return repr(await attempt)
    except MultiturnError as error:
        return f"{type(error).__name__}: {error}"


async def everything(store: Store) -> object:
    """All that can be seen of a tenant."""
    records = await store.conversations()
    trees = [await store.tree(record.id) for record in records]
    words = [await store.search("secret")] if store.url else []
    return records, trees, words, await counts(store), [await store.usage(by) for by in ("conversation", "user", "day")]


def test_every_method_is_tried_or_is_of_the_whole_store() -> None:
    methods = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
    assert methods == ATTEMPTS.keys() | OF_THE_WHOLE_STORE


async def test_what_another_tenant_has_cannot_be_told_from_what_was_never_there(store: Store) -> None:
    before, after, alice = (store.tenant(name) for name in ("before", "after", "alice"))
    expected = {name: [await outcome(attempt(before)) for attempt in ATTEMPTS[name]] for name in ATTEMPTS}
    turn = await alice.begin(ALICES, user="alice", metadata={"k": "v"}, kind="response")
    await alice.finish(ended(turn))
    alice.note(turn.id, b"hers")
    waits = await alice.begin(WAITS)
    there = await everything(alice)
    for name, attempts in ATTEMPTS.items():
        assert [await outcome(attempt(after)) for attempt in attempts] == expected[name], name
    assert await everything(alice) == there
    await alice.finish(ended(waits, text="at last"))
    assert (await followed(alice, waits.id))[-1] == await alice.turn(waits.id)
    assert [await outcome(attempt(store)) for attempt in ATTEMPTS["turn"]] == expected["turn"]


async def test_tenants_may_use_the_same_names(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    first, second = await alice.begin(ALICES, key="k"), await bob.begin(ALICES, key="k")
    with pytest.raises(ConversationBusy):
        await alice.begin(new_turn())
    await alice.keep(ALICES.id, [TextDelta("for alice")])
    await bob.keep(ALICES.id, [TextDelta("for bob")])
    await alice.finish(ended(first, text="for alice"))
    assert (await bob.turn(ALICES.id)).status is TurnStatus.IN_PROGRESS
    await bob.finish(ended(second, text="for bob"))
    assert [(await view.begin(new_turn(), key="k")).text for view in (alice, bob)] == ["for alice", "for bob"]
    await alice.delete("c")
    assert [turn.text for turn in await bob.tree("c")] == ["for bob"]
    assert await bob.delete_turn(ALICES.id) == 1


async def test_a_conversation_of_the_same_name_is_another_one(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    hers = await alice.create(ConversationRecord(id="c", user="a", model="a", instructions="be a", metadata={"k": "a"}))
    his = await bob.create(ConversationRecord(id="c", user="b", model="b", instructions="be b", metadata={"k": "b"}))
    assert await alice.conversation("c") == hers
    hers = await alice.update("c", metadata={"k": "new"})
    assert (await alice.conversation("c"), await bob.conversation("c")) == (hers, his)
    assert await bob.family("c") == (his,)


async def test_what_one_has_attached_is_there_for_another_who_attached_the_same(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    hers, his = await say(alice, "c", Image(PICTURE)), await say(bob, "c", Image(PICTURE))
    await alice.delete("c")
    assert await bob.turn(his.id) == his
    assert [(await view.statistics()).attachments for view in (alice, bob, store)] == [0, 1, 0]
    with pytest.raises(NotFound):
        await bob.turn(hers.id)


async def test_what_is_found_counted_and_deleted_is_the_tenants_own(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    for view, said in (
        (alice, "green apples"),
        (alice, "more apples"),
        (bob, "his apples"),
        (store, "nobody's apples"),
    ):
        await say(view, "c", said, user="u")
    assert [len(await view.search("apples", user="u")) for view in (alice, bob, store)] == [2, 1, 1]
    assert [(await view.usage("user"))[0].turns for view in (alice, bob, store)] == [2, 1, 1]
    assert [(await view.statistics()).turns for view in (alice, bob, store)] == [2, 1, 1]
    assert await store.tenants() == await bob.tenants() == ("", "alice", "bob")
    assert await alice.delete_user("u") == 1
    assert [len(await view.conversations(filter=Filter(user="u"))) for view in (alice, bob, store)] == [0, 1, 1]
    assert await store.tenants() == ("", "bob")


async def test_the_rules_of_retention_are_for_one_tenant_or_for_all(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    for view in (alice, bob, store):
        for name in ("old", "new"):
            await say(view, name, user="u", at=2.0 if name == "new" else 1.0)
    assert (await alice.collect(Retention(keep=1))).conversations == 1
    assert (await store.collect(Retention(keep=1))).conversations == 2  # the last of each tenant's user stays
    for view in (alice, bob, store):
        assert [record.id for record in await view.conversations()] == ["new"]
    assert (await store.collect(Retention(age_s=-10.0))).turns == 3


async def test_a_file_moves_from_tenant_to_tenant_of_one_store(store: Store) -> None:
    alice, bob = store.tenant("alice"), store.tenant("bob")
    first = await say(alice, "c", "hello", Image(PICTURE), user="u", metadata={"k": "v"})
    await alice.create(ConversationRecord(id="fork", head=first.id, kind="response"))
    await say(bob, "not hers")
    files = [io.BytesIO() for _ in range(3)]
    await export(alice, files[0])
    assert await import_(bob, io.BytesIO(files[0].getvalue())) == Imported(conversations=2, turns=1)
    assert await import_(bob, io.BytesIO(files[0].getvalue())) == Imported(skipped=2)
    await bob.delete("not hers")
    await export(bob, files[1])
    assert files[1].getvalue() == files[0].getvalue()
    assert (await bob.conversation("fork")).kind == "response"
    assert await export(store, files[2]) == 0


async def test_a_view_is_as_good_as_the_store(store: Store) -> None:
    alice = store.tenant("alice")
    assert alice is store.tenant("alice") is store.tenant("bob").tenant("alice")
    assert store.tenant("") is store is alice.tenant("")
    assert alice.url == store.url
    await alice.aclose()
    assert not store.closed
    chat = Conversation("offline", store=alice, id="c")
    reply = await chat.asend("hello")
    assert (await alice.conversation("c")).head == reply.turn.id
    with pytest.raises(NotFound):
        await store.conversation("c")


async def test_a_view_is_closed_with_its_store() -> None:
    store = open_store("sqlite://")
    alice = store.tenant("alice")
    await store.aclose()
    assert alice.closed


async def test_a_view_holds_its_store_and_the_store_lets_go_of_views() -> None:
    alice = open_store("sqlite://").tenant("alice")
    gc.collect()
    assert await alice.conversations() == ()
    views = alice._views  # type: ignore[attr-defined]
    assert set(views) == {"alice"}
    whole = alice.tenant("")
    del alice
    gc.collect()
    assert not views
    await whole.aclose()


@pytest.mark.parametrize("kind", ON_DISK)
async def test_what_a_gone_process_ran_is_closed_for_each_tenant(kind: str, tmp_path: Path) -> None:
    url = fresh_url(kind, tmp_path)
    theirs = open_store(url)
    for name in ("alice", "bob"):
        await theirs.tenant(name).begin(ALICES)
        await theirs.tenant(name).keep(ALICES.id, [TextDelta(f"for {name}")])
    await theirs.aclose()
    store = open_store(url)
    for name in ("alice", "bob"):
        turn = await store.tenant(name).turn(ALICES.id)
        assert (turn.status, turn.reason, turn.text) == (TurnStatus.INCOMPLETE, "crashed", f"for {name}")
    assert await store.check() == ()
    await store.aclose()


@pytest.mark.parametrize("kind", ON_DISK)
async def test_a_store_is_sealed_for_all_tenants_at_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    turns = [await say(store.tenant(name), "c", "hello", Image(PICTURE)) for name in ("alice", "bob", "")]
    await store.aclose()
    monkeypatch.setenv(sealing.KEY, sealing.new_key())
    store = open_store(url)
    assert await store.tenant("alice").reseal() == 3
    assert [
        await store.tenant(name).turn(turn.id) for name, turn in zip(("alice", "bob", ""), turns, strict=True)
    ] == turns
    with pytest.raises(SearchOff):
        await store.tenant("bob").search("hello")
    await store.aclose()
    monkeypatch.delenv(sealing.KEY)
    store = open_store(url)
    with pytest.raises(Sealed):
        await store.tenant("bob").turn(turns[1].id)
    await store.aclose()


async def test_damage_shows_whichever_tenant_asks(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/chats.db")
    turn = await say(store.tenant("alice"))
    with sqlite3.connect(tmp_path / "chats.db") as db:
        db.execute("UPDATE turns SET tenant = 'bob'")
    db.close()
    problems = await store.tenant("carol").check()
    assert problems == await store.check()
    assert f"turn {turn.id} is of another tenant than its conversation" in problems
    assert "conversation c stands on another tenant's turn" in problems
    await store.aclose()


async def test_damage_in_postgres_shows_whichever_tenant_asks(tmp_path: Path) -> None:
    url = fresh_url("postgres", tmp_path)
    store = open_store(url)
    turn = await say(store.tenant("alice"))
    from stores import postgres_server

    postgres_server.shared().sql(f"DELETE FROM {url.partition('search_path=')[2]}.conversations")
    assert f"turn {turn.id} was made in a conversation that is not there" in await store.tenant("carol").check()
    await store.aclose()
