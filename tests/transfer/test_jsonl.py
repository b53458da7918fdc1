"""Export and import without loss."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn import sync
from multiturn.errors import InvalidInput, NotFound
from multiturn.messages import Image, Inline, Message, Opaque, ToolResult, assistant, user
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Cursor, Filter
from multiturn.transfer import Imported, export, import_
from multiturn.transfer.trees import Ids, all_ids
from multiturn.turns import Totals, Turn, TurnStatus, finished
from stores.urls import KINDS, fresh_url
from transfer.growing import Deleted, Forked, Said, any_growth, chatted, exported, grow, imported


async def lines(store: Store, *ids: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (await exported(store, *ids)).splitlines()]


# --- round trips ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(any_growth())
def test_what_was_imported_is_exported_byte_for_byte(steps: list[Said | Forked | Deleted]) -> None:
    async def there_and_back() -> None:
        store, copy = open_store("sqlite://"), open_store("sqlite://")
        await grow(store, steps)
        first = await exported(store)
        await imported(first, into=copy)
        assert await exported(copy) == first
        assert await copy.check() == ()
        records = await store.conversations()
        assert {record.id: record for record in await copy.conversations()} == {record.id: record for record in records}
        for record in records:
            assert sorted(await copy.tree(record.id), key=by_id) == sorted(await store.tree(record.id), key=by_id)
        assert (await imported(first, into=copy)).skipped == len(records)
        await store.aclose()
        await copy.aclose()

    sync.run(there_and_back())


def by_id(turn: Turn) -> str:
    return turn.id


@pytest.mark.parametrize("kind", KINDS)
async def test_from_any_store_to_any_other_and_back(kind: str, tmp_path: Path) -> None:
    store, middle, end = open_store("sqlite://"), open_store(fresh_url(kind, tmp_path)), open_store("sqlite://")
    await chatted("a", "b", store=store)
    await store.create(ConversationRecord(id="fork", head="turn-b-1", metadata={"z": "1", "bb": "2"}))
    await chatted("fork", store=store)
    image = Image(Inline(b"\x89PNG" * 1000, "image/png"))
    await grow(store, [Said(0, [user(image)], TurnStatus.FAILED, None, "Be kind.")])
    first = await exported(store)
    await imported(first, into=middle)
    assert await exported(middle) == first
    assert await middle.check() == ()
    await imported(await exported(middle), into=end)
    assert await exported(end) == first
    for each in (store, middle, end):
        await each.aclose()


async def test_the_order_does_not_depend_on_that_in_which_things_were_said() -> None:
    there = await exported(await chatted("a", "b", "c"))
    other = open_store("sqlite://")
    trees = there.split(b'{"kind":"tree"')
    head, *middle = trees
    middle[-1], end = middle[-1][: middle[-1].index(b'{"kind":"end"')], middle[-1][middle[-1].index(b'{"kind":"end"') :]
    random.Random(1).shuffle(middle)
    await imported(b'{"kind":"tree"'.join([head, *middle]) + end, into=other)
    assert await exported(other) == there


async def test_a_tree_comes_with_every_conversation_on_it() -> None:
    store = await chatted("b", "other")
    await store.create(ConversationRecord(id="a-fork", head="turn-b-1"))
    found = await lines(store, "b")
    assert [line["kind"] for line in found] == [
        *("header", "tree", "turn", "turn", "turn", "conversation", "conversation", "end")
    ]
    assert [line["id"] for line in found[2:7]] == ["turn-b-0", "turn-b-1", "turn-b-2", "a-fork", "b"]
    assert found[5]["head"] == "turn-b-1"
    with pytest.raises(NotFound):
        await exported(store, "nobody")


async def test_turns_in_progress_are_left_out() -> None:
    store = await chatted("a")
    running = await store.begin(Turn(id="turn-running", conversation="a", input=(user("hm"),), created_at=9.0))
    only = await store.begin(Turn(id="turn-first", conversation="b", input=(user("hm"),), created_at=9.0))
    found = {line["id"]: line for line in await lines(store) if "id" in line}
    assert not {running.id, only.id} & found.keys()
    assert (found["a"]["head"], found["a"]["latest"]) == ("turn-a-2", "turn-a-2")
    assert "head" not in found["b"]
    assert "latest" not in found["b"]
    copy = open_store("sqlite://")
    assert await imported(await exported(store), into=copy) == Imported(2, 3)


async def test_attachments_and_line_ends_inside_a_providers_items_survive() -> None:
    store, copy = open_store("sqlite://"), open_store("sqlite://")
    image = Image(Inline(bytes(range(256)) * 40, "image/png"))
    odd = Opaque("openai", msgspec.Raw(b'{\n "type": "x",\r\n "text": "a\\nb"}'))
    message = Message("tool", (ToolResult("call", (image,)),))
    await grow(store, [Said(0, [message, assistant(odd)], TurnStatus.COMPLETED, None, None)])
    first = await exported(store)
    await imported(first, into=copy)
    assert await exported(copy) == first
    assert (await copy.turn("turn-000")).input == (message,)


async def test_files_may_be_joined() -> None:
    both = await exported(await chatted("a")) + await exported(await chatted("b"))
    copy = open_store("sqlite://")
    assert await imported(both, into=copy) == Imported(2, 6)


async def test_an_empty_store_makes_a_file_that_can_be_imported() -> None:
    nothing = await exported(open_store("sqlite://"))
    assert nothing.count(b"\n") == 2
    assert await imported(nothing, into=open_store("sqlite://")) == Imported()


async def test_windows_line_ends_blank_lines_and_a_byte_order_mark_do_no_harm() -> None:
    data = b"\xef\xbb\xbf" + (await exported(await chatted("a"))).replace(b"\n", b"\r\n\r\n")
    assert await imported(data, into=open_store("sqlite://")) == Imported(1, 3)


# --- files that are not right ---------------------------------------------------------------------------------------


async def test_a_file_cut_short_anywhere_loses_nothing_that_was_complete() -> None:
    data = await exported(await chatted("a", "b"))
    whole = data.index(b'{"kind":"tree"', data.index(b"conversation"))
    for end in [*range(0, len(data) - 2, 41), len(data) - 2]:
        copy = open_store("sqlite://")
        with pytest.raises(InvalidInput, match=r"^line \d+: "):
            await imported(data[:end], into=copy)
        ids = {record.id for record in await copy.conversations()}
        last = data.index(b'{"kind":"end"')
        assert ids == ({"a", "b"} if end >= last - 1 else {"a"} if end >= whole - 1 else set())
        await imported(data, into=copy)
        assert await exported(copy) == data


HEAD = '{"kind":"header","format":"multiturn","version":1}'
TURN = '{"kind":"turn","id":"t","conversation":"c","status":"completed"}'
RECORD = '{"kind":"conversation","id":"c","head":"t"}'
TREE = '{"kind":"tree","turns":1,"conversations":1}'
TWO = '{"kind":"tree","turns":2,"conversations":1}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ([""], "line 1: the file ends too early"),
        (["hello"], "line 1: this is not valid JSON"),
        (['{"a":1}'], "line 1: this is no line of an export"),
        ([TREE], "line 1: an export begins with a header"),
        (['{"kind":"header","format":"other","version":1}'], "line 1: this is no export of multiturn, but of 'other'"),
        (['{"kind":"header","format":"multiturn","version":9}'], "line 1: this export has version 9; upgrade"),
        ([HEAD, TREE, TURN, TURN], "line 4: here should be a conversation"),
        ([HEAD, TREE, RECORD], "line 3: here should be a turn"),
        ([HEAD, TREE, TURN.replace('"c"', "7")], r"line 3: .*Expected `str`, got `int` - at `\$.conversation`"),
        ([HEAD, TREE, TURN.replace("completed", "in_progress")], "line 3: turn 't' has not ended"),
        ([HEAD, TREE, TURN.replace('"c"', '"d"'), RECORD], "line 3: turn 't' is of 'd', which is no conversation"),
        ([HEAD, TREE, TURN, RECORD.replace('"t"', '"u"')], "line 4: conversation 'c' stands on 'u'"),
        ([HEAD, TWO, TURN, TURN], "line 4: turn 't' is here twice"),
        (
            [HEAD, TREE, TURN.replace('"status"', '"parent":"p","status"')],
            "line 3: turn 't' follows 'p', which does not stand before it",
        ),
        ([HEAD, '{"kind":"end","conversations":3,"turns":0}'], "line 2: 3 conversations should be here, not 0"),
        ([HEAD, '{"kind":"tree","x":' + "[" * 100_000], "line 2: this is not valid JSON"),
    ],
)
async def test_a_wrong_line_is_named(text: list[str], problem: str) -> None:
    copy = open_store("sqlite://")
    with pytest.raises(InvalidInput, match=f"^{problem}"):
        await imported("\n".join(text).encode(), into=copy)
    assert await copy.conversations() == ()


# --- what is there already ------------------------------------------------------------------------------------------


async def test_what_is_there_already_is_passed_over() -> None:
    data = await exported(await chatted("a", "b"))
    assert await imported(data, into=await chatted("c", store=open_store("sqlite://"))) == Imported(2, 6)
    copy = open_store("sqlite://")
    await imported(await exported(await chatted("a")), into=copy)
    await copy.delete("a")
    await imported(data, into=copy)
    assert await imported(data, into=copy) == Imported(skipped=2)


async def test_another_conversation_of_the_same_id_is_a_conflict() -> None:
    data = await exported(await chatted("a", "b"))
    copy = open_store("sqlite://")
    await grow(copy, [Said(0, [user("mine")], TurnStatus.COMPLETED, None, None)])
    await copy.create(ConversationRecord(id="a"))
    with pytest.raises(InvalidInput, match=r"^line 2: there is a conversation 'a' in the store already, and not the"):
        await imported(data, into=copy)
    assert await imported(data, into=copy, on_conflict="skip") == Imported(skipped=2)
    assert (await copy.conversation("a")).head is None
    assert (await copy.conversation("b")).head == "turn-b-2"


async def test_a_turn_of_the_same_id_is_a_conflict_too() -> None:
    data = (await exported(await chatted("a"))).replace(b'"conversation":"a"', b'"conversation":"z"')
    data = data.replace(b'"conversation","id":"a"', b'"conversation","id":"z"')
    copy = await chatted("a")
    with pytest.raises(InvalidInput, match=r"^line 2: there is a turn 'turn-a-0' in the store already"):
        await imported(data, into=copy)


# --- many, and while the store changes ------------------------------------------------------------------------------


async def test_progress_is_told_from_nothing_to_all() -> None:
    store, told = await chatted("a", "b", "c"), list[tuple[int, int]]()
    assert await export(store, io.BytesIO(), progress=lambda done, total: told.append((done, total))) == 3
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


async def test_no_more_than_a_tree_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a file read ahead of what is stored."""
    store, read = open_store("sqlite://"), 0
    data = await exported(await chatted(*(f"c{number:03}" for number in range(150))))
    held = []

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for start in range(0, len(data), 1000):
            read = start
            yield data[start : start + 1000]

    restore = store.restore

    async def noted(*arguments: object) -> None:
        held.append(read)
        await restore(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "restore", noted)
    assert await import_(store, pieces()) == Imported(150, 450)
    assert min(held) < len(data) / 2


class Moving:
    """A store whose every conversation that has not been listed is used between two pages, so that it moves."""

    def __init__(self, ids: list[str]) -> None:
        self._used = {id: float(number) for number, id in enumerate(ids)}
        self._now = 1e12

    async def conversations(
        self, *, filter: Filter, limit: int, after: Cursor | None
    ) -> tuple[ConversationRecord, ...]:
        wanted = sorted(((at, id) for id, at in self._used.items() if at >= (filter.since or 0)), reverse=True)
        page = [each for each in wanted if after is None or each < after][:2]
        if page and filter.since is None:
            last = min(self._used, key=lambda id: self._used[id])
            self._now += 1
            self._used[last] = self._now
        return tuple(ConversationRecord(id=id, updated_at=at) for at, id in page)


async def test_conversations_that_are_used_while_they_are_listed_are_not_missed() -> None:
    wanted = [f"c{number}" for number in range(9)]
    ids = Ids()
    await all_ids(Moving(wanted), ids)  # type: ignore[arg-type]
    found = []
    while (id := ids.first()) is not None:
        ids.take(id)
        found.append(id)
    assert found == wanted
    ids.close()


async def test_an_export_beside_someone_who_writes_can_be_imported() -> None:
    store = await chatted("a", "b", "c")
    copy = open_store("sqlite://")

    async def write() -> None:
        for number in range(30):
            await grow_one(store, number)

    writing = asyncio.create_task(write())
    seen = [await exported(store) for _ in range(10)]
    await writing
    for data in seen[::3]:
        copy = open_store("sqlite://")
        assert (await imported(data, into=copy)).conversations >= 3
        assert await copy.check() == ()


async def grow_one(store: Store, number: int) -> None:
    turn = await store.begin(Turn(id=f"more-{number}", conversation="b", input=(user("more"),), created_at=1.0))
    await store.finish(finished(turn, TurnStatus.COMPLETED, before=Totals(), at=2.0, output=[assistant("ok")]))


@given(st.lists(st.text(max_size=3)))
def test_ids_come_out_in_order(given: list[str]) -> None:
    ids, found = Ids(), []
    ids.add(given)
    while (id := ids.first()) is not None:
        assert ids.take(id)
        found.append(id)
    assert found == sorted(set(given), key=str.encode)
    ids.close()
