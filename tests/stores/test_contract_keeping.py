"""What every store must do beside holding the tree: find, count, let go, move, and answer a key once."""

from __future__ import annotations

import time

import msgspec
import pytest

from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.ids import new_id
from multiturn.messages import File, Image, Inline, Message, Opaque, Text, ToolResult, Uploaded, Usage, user
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Cursor, Filter, Retention, UsageBy
from multiturn.turns import Turn, TurnStatus
from stores.saying import ended, new_turn, say, texts

PICTURE = Inline(b"\x89PNG" + bytes(2000), "image/png")

# --- attachments and other parts --------------------------------------------------------------------------------------


async def test_attachments_come_back_whole_and_are_stored_once(store: Store) -> None:
    parts = ("look", Image(PICTURE), File(Inline(b"%PDF" + bytes(900), "application/pdf"), name="a.pdf"))
    turns = [await say(store, "c", *parts) for _ in range(3)]
    assert await store.path(turns[-1].id) == tuple(turns)
    assert (await store.statistics()).attachments == 2


@pytest.mark.parametrize("first", range(4))
async def test_attachments_may_begin_with_any_byte(store: Store, first: int) -> None:
    turn = await say(store, "c", File(Inline(bytes([first]) * 600, "application/octet-stream")))
    assert await store.turn(turn.id) == turn


async def test_small_bytes_opaque_items_and_images_of_tools_come_back_too(store: Store) -> None:
    result = ToolResult("call_1", (Text("here"), Image(PICTURE)))
    opaque = Opaque("openai", msgspec.Raw(b'{"type":"x", "n":1.0}'), "x")
    turn = await store.begin(
        Turn(
            id=new_id("turn"),
            conversation="c",
            model="m",
            input=(Message("tool", (result,)), user(Image(Inline(b"tiny", "image/gif")))),
        )
    )
    answer = msgspec.structs.replace(ended(turn), output=(Message("assistant", (opaque, Text("done"))),))
    await store.finish(answer)
    assert await store.turn(turn.id) == answer


async def test_bytes_that_are_only_claimed_to_be_here_are_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="bytes"):
        await store.begin(new_turn("c", Image(Uploaded("00" * 32, "multiturn"))))


async def test_an_attachment_goes_with_the_last_turn_that_holds_it(store: Store) -> None:
    first = await say(store, "a", Image(PICTURE))
    await say(store, "b", Image(PICTURE))
    await store.delete("a")
    assert (await store.statistics()).attachments == 1
    await store.delete("b")
    assert (await store.statistics()).attachments == 0
    with pytest.raises(NotFound):
        await store.turn(first.id)


# --- idempotency ------------------------------------------------------------------------------------------------------


async def test_the_same_key_gives_the_same_turn(store: Store) -> None:
    first = ended(await store.begin(new_turn(), key="k"))
    await store.finish(first)
    assert await store.begin(new_turn("c", "anything"), key="k") == first
    assert len(await store.tree("c")) == 1
    other = await store.begin(new_turn(), key="another")
    assert other.parent == first.id
    await store.finish(ended(other))
    elsewhere = await store.begin(new_turn("d"), key="k")
    assert elsewhere.id not in (first.id, other.id)
    await store.finish(ended(elsewhere))


async def test_a_key_is_busy_while_its_turn_runs(store: Store) -> None:
    turn = await store.begin(new_turn(), key="k")
    with pytest.raises(ConversationBusy):
        await store.begin(new_turn(), key="k")
    await store.finish(ended(turn))


@pytest.mark.parametrize(
    ("status", "reason"),
    [(TurnStatus.FAILED, None), (TurnStatus.INCOMPLETE, "interrupted"), (TurnStatus.INCOMPLETE, "crashed")],
)
async def test_a_turn_that_was_not_answered_leaves_its_key(store: Store, status: TurnStatus, reason: str) -> None:
    failed = await store.begin(new_turn(), key="k")
    await store.finish(ended(failed, status, reason=reason))
    again = await store.begin(new_turn(), key="k")
    assert again.id != failed.id
    await store.finish(ended(again))
    assert (await store.begin(new_turn(), key="k")).id == again.id


async def test_an_answer_that_a_limit_cut_has_been_given(store: Store) -> None:
    turn = await store.begin(new_turn(), key="k")
    await store.finish(ended(turn, TurnStatus.INCOMPLETE, reason="length"))
    assert (await store.begin(new_turn(), key="k")).id == turn.id


# --- listing ----------------------------------------------------------------------------------------------------------


async def listed(store: Store, filter: Filter) -> list[str]:
    return [record.id for record in await store.conversations(filter=filter)]


async def test_conversations_are_found_by_what_is_known_of_them(store: Store) -> None:
    await say(store, "a", user="alice", metadata={"topic": "tea", "lang": "en"}, at=10.0)
    await say(store, "b", user="bob", metadata={"topic": "tea"}, at=20.0)
    await say(store, "c", user="alice", at=30.0)
    failed = await store.begin(new_turn("b", at=40.0))
    await store.finish(ended(failed, TurnStatus.FAILED, at=41.0))
    assert await listed(store, Filter()) == ["b", "c", "a"]
    assert await listed(store, Filter(user="alice")) == ["c", "a"]
    assert await listed(store, Filter(metadata={"topic": "tea"})) == ["b", "a"]
    assert await listed(store, Filter(metadata={"topic": "tea", "lang": "en"})) == ["a"]
    assert await listed(store, Filter(metadata={"topic": "coffee"})) == []
    assert await listed(store, Filter(status=TurnStatus.FAILED)) == ["b"]
    assert await listed(store, Filter(since=30.5)) == ["b", "c"]
    assert await listed(store, Filter(until=30.5)) == ["a"]
    assert await listed(store, Filter(user="alice", since=15.0, status=TurnStatus.COMPLETED)) == ["c"]
    assert await listed(store, Filter(user="nobody")) == []


async def test_odd_metadata_is_found_as_it_is(store: Store) -> None:
    odd = {"quote'\"": "semi;colon", "$.path": "%_", "ключ": "знач\u0301ение"}
    await say(store, "c", metadata=odd)
    assert (await store.conversation("c")).metadata == odd
    assert await listed(store, Filter(metadata=odd)) == ["c"]
    assert await listed(store, Filter(metadata={"$.path": "x"})) == []


async def test_pages_go_on_where_they_left_off_also_among_equals(store: Store) -> None:
    for name in "abcdef":
        await say(store, name, at=5.0)
    seen: list[str] = []
    after: Cursor | None = None
    while page := await store.conversations(limit=4, after=after):
        seen += [record.id for record in page]
        after = Cursor(page[-1].updated_at, page[-1].id)
    assert seen == ["f", "e", "d", "c", "b", "a"]


async def test_a_family_is_all_that_stand_on_one_tree(store: Store) -> None:
    first = await say(store, "m")
    await store.create(ConversationRecord(id="a", head=first.id, user="u"))
    await say(store, "stranger")
    assert [record.id for record in await store.family("m")] == ["a", "m"]
    assert await store.family("a") == await store.family("m")


async def test_a_conversation_is_listed_by_what_it_was_made_for(store: Store) -> None:
    await store.begin(new_turn("r"), kind="response")
    await store.create(ConversationRecord(id="m", kind="message"))
    await store.create(ConversationRecord(id="named", kind="conversation"))
    await say(store, "library")
    assert [(await store.conversation(id)).kind for id in ("r", "m", "library")] == ["response", "message", None]
    found = {kind: await store.conversations(filter=Filter(kind=kind)) for kind in ("response", "message", "nothing")}
    assert {kind: [record.id for record in records] for kind, records in found.items()} == {
        "response": ["r"],
        "message": ["m"],
        "nothing": [],
    }
    asked_for = await store.conversations(filter=Filter(kind="conversation"))
    assert {record.id for record in asked_for} == {"named", "library"}
    assert len(await store.conversations()) == 4


async def test_a_conversation_stays_what_it_was_made_for(store: Store) -> None:
    first = await say(store, "c")
    await store.finish(ended(await store.begin(new_turn("c"), kind="response")))
    assert (await store.conversation("c")).kind is None
    restored = ConversationRecord(id="r", kind="response", created_at=1.0, updated_at=1.0)
    await store.restore([restored], [])
    await store.begin(new_turn("r"))
    assert (await store.conversation("r")).kind == "response"
    assert (await store.create(ConversationRecord(id="fork", head=first.id, kind="response"))).kind == "response"


async def test_metadata_can_be_other_than_it_was(store: Store) -> None:
    await store.create(ConversationRecord(id="c", user="u", metadata={"a": "1"}, created_at=5.0, updated_at=5.0))
    await store.begin(new_turn("c"))
    before = await store.conversation("c")
    updated = await store.update("c", metadata={"b": "2", "é": ""})  # while a turn runs
    assert updated == msgspec.structs.replace(before, metadata={"b": "2", "é": ""}, updated_at=updated.updated_at)
    assert updated.updated_at > before.updated_at
    assert await store.conversation("c") == updated
    assert [record.id for record in await store.conversations(filter=Filter(metadata={"b": "2"}))] == ["c"]
    assert await store.conversations(filter=Filter(metadata={"a": "1"})) == ()
    assert (await store.update("c", metadata={})).metadata is None
    assert (await store.update("c", metadata=None)).metadata is None
    with pytest.raises(NotFound, match="conversation 'd'"):
        await store.update("d", metadata={})


# --- search -----------------------------------------------------------------------------------------------------------


async def found(store: Store, words: str, **options: str) -> list[str]:
    return [hit.turn.input[0].text for hit in await store.search(words, **options)]  # type: ignore[arg-type]


async def test_words_are_found_whoever_said_them(store: Store) -> None:
    await say(store, "a", "The kettle is on the stove", user="alice")
    await say(store, "b", "No tea today", user="bob")
    assert await found(store, "kettle") == ["The kettle is on the stove"]
    assert await found(store, "KETTLE stove") == ["The kettle is on the stove"]
    assert await found(store, "kettle tea") == []
    assert await found(store, "ket*") == ["The kettle is on the stove"]
    assert sorted(await found(store, "re")) == ["No tea today", "The kettle is on the stove"]  # both answers begin so
    assert await found(store, "re", user="alice") == ["The kettle is on the stove"]
    assert len(await store.search("re", limit=1)) == 1


async def test_a_phrase_stands_as_it_is(store: Store) -> None:
    await say(store, "a", "tea and then coffee")
    await say(store, "b", "coffee, then tea")
    assert await found(store, '"then tea"') == ["coffee, then tea"]
    assert await found(store, '"then coffee" tea') == ["tea and then coffee"]
    assert await found(store, '"coffee tea"') == []


async def test_case_and_accents_do_not_count(store: Store) -> None:
    await say(store, "a", "Café ÜBER straße")
    for words in ("cafe", "CAFÉ", "uber", "strasse"):
        assert await found(store, words) == ["Café ÜBER straße"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("call snake_case_name now", "snake_case_name"),
        ("call snake_case_name now", "case"),
        ("हिन्दी में लिखा", "हिन्दी"),
        ("日本語の文章", "日本語の文章"),
        ("x² + ½", "x²"),
        ("naïve—co-operation", "co-operation"),
        ("it's o'clock", "it's"),
        ("Ωmega ЖУК", "ωmega жук"),
    ],
)
async def test_words_of_any_script_are_found_as_they_were_said(store: Store, said: str, words: str) -> None:
    await say(store, "a", said)
    assert await found(store, words) == [said]
    await store.delete("a")
    assert await found(store, words) == []


async def test_signs_in_a_search_are_harmless(store: Store) -> None:
    await say(store, "a", "say: NEAR(a, b) or 'c' -d col:val 100%")
    for words in ("NEAR(a", "'c'", "-d", "col:val", "100%", 'or "a b"', "a OR", "a AND NOT", "\\ a", "&a|", "(b)"):
        await store.search(words)
    for words in ("", "  ", "%", '""', "*"):
        with pytest.raises(InvalidInput):
            await store.search(words)


async def test_an_excerpt_shows_the_words_in_their_place(store: Store) -> None:
    await say(store, "a", "word " * 100 + "NEEDLE in a haystack " + "more " * 100)
    (hit,) = await store.search("needle")
    assert "NEEDLE in a haystack" in hit.excerpt
    assert hit.excerpt.startswith("…")
    assert hit.excerpt.endswith("…")
    assert len(hit.excerpt) < 250


async def test_what_is_gone_or_not_yet_said_is_not_found(store: Store) -> None:
    await say(store, "a", "ephemeral")
    await store.begin(new_turn("b", "ephemeral"))
    assert await found(store, "ephemeral") == ["ephemeral"]
    await store.delete("a")
    assert await found(store, "ephemeral") == []


# --- sums -------------------------------------------------------------------------------------------------------------


async def test_usage_is_summed_by_whatever_is_asked(store: Store) -> None:
    day = 86_400.0
    one, two = Usage(input_tokens=10, output_tokens=1, cached_tokens=4), Usage(input_tokens=100, cost_usd=0.5)
    await say(store, "a", user="alice", model="big", usage=one, at=day)
    await say(store, "a", model="small", usage=two, at=2 * day)
    await say(store, "b", model="big", usage=one, at=2 * day)
    rows = {by: {row.name: (row.turns, row.usage) for row in await store.usage(by)} for by in BY}
    assert rows["conversation"] == {"a": (2, one + two), "b": (1, one)}
    assert rows["user"] == {"alice": (2, one + two), "": (1, one)}
    assert rows["model"] == {"big": (2, one + one), "small": (1, two)}
    assert rows["day"] == {"1970-01-02": (1, one), "1970-01-03": (2, two + one)}
    assert [row.name for row in await store.usage("model")] == ["small", "big"]
    assert [row.name for row in await store.usage("day", since=2 * day)] == ["1970-01-03"]
    assert [row.name for row in await store.usage("day", until=1.5 * day)] == ["1970-01-02"]


BY: tuple[UsageBy, ...] = ("conversation", "user", "model", "day")


async def test_statistics_say_how_much_there_is(store: Store) -> None:
    assert (await store.statistics()).turns == 0
    for n in range(3):
        await say(store, "big", "words " * 200, at=86_400.0 * n)
    await say(store, "small", "word", at=0.0)
    statistics = await store.statistics()
    assert (statistics.conversations, statistics.turns, statistics.attachments) == (2, 4, 0)
    assert [name for name, _ in statistics.biggest] == ["big", "small"]
    assert statistics.turns_by_day == (("1970-01-01", 2), ("1970-01-02", 1), ("1970-01-03", 1))
    assert sum(statistics.bytes_by_kind.values()) > 0


# --- letting go -------------------------------------------------------------------------------------------------------


async def test_a_deleted_turn_takes_its_descendants_and_heads_step_back(store: Store) -> None:
    first = await say(store, "c", "1")
    second = await say(store, "c", "2")
    await say(store, "c", "3")
    await store.create(ConversationRecord(id="fork", head=second.id))
    await say(store, "fork", "3f")
    await say(store, "c", "2 otherwise", parent=first.id)
    assert await store.delete_turn(second.id) == 3
    assert (await store.conversation("fork")).head == first.id
    assert await texts(store, (await store.conversation("c")).head) == ["1", "2 otherwise"]
    assert await store.delete_turn(first.id) == 2
    assert (await store.conversation("c")).head is None
    assert await texts(store, (await say(store, "c", "anew")).id) == ["anew"]
    with pytest.raises(NotFound):
        await store.delete_turn(first.id)


async def test_a_turn_is_not_deleted_under_one_that_runs(store: Store) -> None:
    first = await say(store)
    await store.begin(new_turn())
    with pytest.raises(ConversationBusy):
        await store.delete_turn(first.id)
    assert await store.turn(first.id) == first


async def test_everything_of_a_user_goes_at_once_or_not_at_all(store: Store) -> None:
    await say(store, "a", user="alice")
    await say(store, "b", user="alice")
    await say(store, "c", user="bob")
    running = await store.begin(new_turn("b"))
    with pytest.raises(ConversationBusy):
        await store.delete_user("alice")
    assert sorted(await listed(store, Filter(user="alice"))) == ["a", "b"]
    await store.finish(ended(running))
    assert await store.delete_user("alice") == 2
    assert await listed(store, Filter()) == ["c"]
    assert await store.delete_user("alice") == 0


async def test_old_and_idle_conversations_are_collected(store: Store) -> None:
    now = time.time()
    for name, at in (("ancient", now - 1000), ("old", now - 100), ("new", now - 1)):
        await say(store, name, at=at)
    running = await store.begin(new_turn("held", at=now - 2000))
    assert (await store.collect(Retention())).conversations == 0
    assert (await store.collect(Retention(idle_s=500))).conversations == 1
    assert await listed(store, Filter()) == ["new", "old", "held"]
    assert (await store.collect(Retention(idle_s=50, age_s=10_000))).turns == 1
    assert await listed(store, Filter()) == ["new", "held"]
    await store.finish(ended(running, at=now))
    assert (await store.collect(Retention(age_s=10_000))).conversations == 0


async def test_only_so_many_of_each_user_are_kept(store: Store) -> None:
    for n in range(30):
        await say(store, f"a{n:02}", user="alice", at=float(n))
    await say(store, "b", user="bob", at=0.0)
    gone = await store.collect(Retention(keep=2))
    assert (gone.conversations, gone.turns) == (28, 28)
    assert await listed(store, Filter()) == ["a29", "a28", "b"]


# --- moving -----------------------------------------------------------------------------------------------------------


async def test_a_restored_tree_is_the_tree_it_was(store: Store) -> None:
    first = await say(store, "c", "1", Image(PICTURE), user="alice", metadata={"k": "v"})
    await say(store, "c", "2")
    await say(store, "c", "2b", parent=first.id)
    await store.create(ConversationRecord(id="fork", head=first.id, instructions="be brief"))
    records, turns = await store.family("c"), await store.tree("c")
    await store.delete("fork")
    await store.delete("c")
    await store.restore(records, turns)
    assert await store.family("c") == records
    assert sorted(await store.tree("c"), key=lambda turn: turn.id) == sorted(turns, key=lambda turn: turn.id)
    assert await found(store, "2b") == ["2b"]
    assert await texts(store, (await say(store, "c", "3")).id) == ["1", "2b", "3"]


async def test_what_is_there_already_is_not_restored_over(store: Store) -> None:
    turn = await say(store)
    records, turns = await store.family("c"), await store.tree("c")
    with pytest.raises(InvalidInput):
        await store.restore(records, turns)
    with pytest.raises(InvalidInput):
        await store.restore([ConversationRecord(id="other")], turns)
    with pytest.raises(NotFound):
        await store.conversation("other")
    assert await store.turn(turn.id) == turn


async def test_a_tree_that_is_not_whole_is_not_restored(store: Store) -> None:
    orphan = msgspec.structs.replace(ended(new_turn("x")), parent="turn_missing")
    with pytest.raises(NotFound):
        await store.restore([ConversationRecord(id="x")], [orphan])
    with pytest.raises(NotFound):
        await store.restore([ConversationRecord(id="x", head="turn_missing")], [])
    assert await listed(store, Filter()) == []
