"""Random trees: whatever is sent, forked, edited, deleted and crashed, a store holds what plain dicts hold."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from multiturn import open_store
from multiturn.deltas import TextDelta
from multiturn.errors import ConversationBusy, InvalidInput, NotFound
from multiturn.ids import new_id
from multiturn.messages import File, Inline, Message, Text, Usage, user
from multiturn.stores.base import Store
from multiturn.stores.records import HEAD, ConversationRecord, Head, Retention, UsageBy
from multiturn.turns import Turn, TurnStatus, finished
from stores.plain import Plain
from stores.saying import say
from stores.urls import KINDS, fresh_url

T = TypeVar("T")

ASKED = [None, "{}", '{"tools":"' + "a" * 100 + '"}', '{"tools":"' + "b" * 100 + '"}']
DIGESTS = [b"one" * 4, b"two" * 4]
WORDS = ["apple", "brook", "cloud", "dune"]
ENDS = [TurnStatus.COMPLETED, TurnStatus.COMPLETED, TurnStatus.INCOMPLETE, TurnStatus.FAILED]

conversations = st.sampled_from(["c0", "c1", "c2", "c3", "c4"])
users = st.sampled_from([None, "ann", "bob"])
ends = st.sampled_from(ENDS)
words = st.lists(st.sampled_from(WORDS), max_size=2).map(" ".join)
picks = st.integers(0, 30)  # one of however many there are
keys = st.sampled_from([None, None, "k1", "k2"])
said = st.builds(
    lambda text, file: user(text, *([File(Inline(bytes([file]) * 600, "text/plain"))] if file < 3 else [])),
    words,
    st.integers(0, 9),
)


class Trees(RuleBasedStateMachine):
    """A store and its model, of one tenant after another; all use the same names. A rule whose subject is not there, or
    is busy, checks that the store says so."""

    kind: str
    tenants: tuple[str, ...] = ("",)

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="mt-trees-")
        self.url = fresh_url(self.kind, Path(self.folder.name))
        self.loop = asyncio.Runner()
        self.whole: Store = open_store(self.url)
        self.plains = {name: Plain() for name in self.tenants}
        self.work_for(self.tenants[0])

    def work_for(self, tenant: str) -> None:
        self.store, self.plain = self.whole.tenant(tenant), self.plains[tenant]

    @precondition(lambda self: len(self.tenants) > 1)
    @rule(pick=picks)
    def another_tenant(self, pick: int) -> None:
        self.work_for(self.tenants[pick % len(self.tenants)])

    def teardown(self) -> None:
        self.run(self.whole.aclose())
        self.loop.close()
        self.folder.cleanup()

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.loop.run(wait())

    def raises(self, error: type[Exception], work: Awaitable[object]) -> None:
        with pytest.raises(error):
            self.run(work)

    # --- saying -------------------------------------------------------------------------------------------------

    @rule(conversation=conversations, said=said, status=ends, answer=words, user=users, key=keys)
    def send(
        self, conversation: str, said: Message, status: TurnStatus, answer: str, user: str | None, key: str | None
    ) -> None:
        turn = self.begin(conversation, said, user=user, key=key)
        if turn is not None:
            self.finish(turn, status, answer)

    @rule(conversation=conversations, said=said, status=ends, answer=words, pick=picks)
    def retry_or_edit(self, conversation: str, said: Message, status: TurnStatus, answer: str, pick: int) -> None:
        replaced = self.any_turn(pick, on=conversation)
        if replaced is not None:
            turn = self.begin(conversation, said, parent=replaced.parent)
            if turn is not None:
                self.finish(turn, status, answer)

    @rule(conversation=conversations, said=said, status=ends, answer=words, pick=picks)
    def begin_at_a_turn(self, conversation: str, said: Message, status: TurnStatus, answer: str, pick: int) -> None:
        parent = self.any_turn(pick)
        if parent is not None and conversation not in self.plain.conversations:
            turn = self.begin(conversation, said, parent=parent.id)
            assert turn is not None
            self.finish(turn, status, answer)

    @rule(conversation=conversations, said=said, streamed=st.lists(words, max_size=2), instructions=words)
    def begin_and_leave_running(self, conversation: str, said: Message, streamed: list[str], instructions: str) -> None:
        turn = self.begin(conversation, said, instructions=instructions or None)
        if turn is not None:
            for text in streamed:
                self.store.append(turn.id, [TextDelta(text)])

    @precondition(lambda self: self.plain.running)
    @rule(pick=picks, status=ends, answer=words)
    def end_what_runs(self, pick: int, status: TurnStatus, answer: str) -> None:
        running = sorted(self.plain.running.values())
        self.finish(self.plain.turns[running[pick % len(running)]], status, answer)

    def begin(
        self,
        conversation: str,
        said: Message,
        *,
        parent: str | Head | None = HEAD,
        user: str | None = None,
        key: str | None = None,
        instructions: str | None = None,
    ) -> Turn | None:
        """The turn, running; None if the store has rightly refused it, or given back the one of the same key."""
        turn = Turn(
            id=new_id("turn"),
            conversation=conversation,
            input=(said,),
            model=f"m{len(self.plain.turns) % 2}",
            instructions=instructions,
            asked=ASKED[len(self.plain.turns) % len(ASKED)],
            created_at=time.time(),
        )
        work = self.store.begin(turn, parent=parent, user=user, key=key)
        if conversation in self.plain.running:
            self.raises(ConversationBusy, work)
            return None
        if parent in self.plain.withdrawn and self.plain.under(conversation, key) is None:
            self.raises(NotFound, work)
            return None
        begun = self.run(work)
        if (earlier := self.plain.under(conversation, key)) is not None:
            assert begun == earlier
            return None
        record = self.plain.conversations.get(conversation)
        assert begun.parent == ((record and record.head) if isinstance(parent, Head) else parent)
        self.plain.begin(begun, user=user, key=key)
        return begun

    def finish(self, turn: Turn, status: TurnStatus, answer: str) -> None:
        usage = Usage(input_tokens=len(self.plain.turns), output_tokens=len(answer))
        output = (Message(role="assistant", parts=(Text(answer),) if answer else (), usage=usage),)
        before = self.plain.totals(turn.parent)
        turn = finished(turn, status, before=before, at=time.time(), output=output)
        self.run(self.store.finish(turn))
        self.plain.finish(turn)
        self.raises(ConversationBusy, self.store.finish(msgspec.structs.replace(turn, reason="again")))

    @rule(pick=picks, digest=st.sampled_from(DIGESTS))
    def note(self, pick: int, digest: bytes) -> None:
        turn = self.any_turn(pick)
        if turn is not None:
            self.store.note(turn.id, digest)
            self.plain.noted[digest] = turn.id
            self.run(self.written(digest, turn.id))

    async def written(self, digest: bytes, turn_id: str) -> None:
        async with asyncio.timeout(10):
            while await self.store.noted([digest]) != (digest, turn_id):
                await asyncio.sleep(0.002)

    # --- heads --------------------------------------------------------------------------------------------------

    @rule(conversation=conversations, pick=picks, user=users)
    def fork(self, conversation: str, pick: int, user: str | None) -> None:
        turn = self.any_turn(pick)
        head = None if turn is None else turn.id
        record = ConversationRecord(id=conversation, user=user, head=head, instructions="a fork")
        if conversation in self.plain.conversations:
            self.raises(InvalidInput, self.store.create(record))
        else:
            self.run(self.store.create(record))
            self.plain.create(record)

    @rule(conversation=conversations, pick=picks, reset=st.booleans())
    def move_head(self, conversation: str, pick: int, reset: bool) -> None:
        turn = None if reset else self.any_turn(pick)
        head = None if turn is None else turn.id
        work = self.store.move_head(conversation, head)
        if conversation not in self.plain.conversations:
            self.raises(NotFound, work)
        elif conversation in self.plain.running:
            self.raises(ConversationBusy, work)
        elif head is not None and head not in self.plain.tree(conversation):
            self.raises(NotFound, work)
        else:
            self.run(work)
            self.plain.move_head(conversation, head)

    def any_turn(self, pick: int, *, on: str | None = None) -> Turn | None:
        """A turn that has ended and can be found, on the conversation's tree if one is given."""
        if on is not None and on not in self.plain.conversations:
            return None
        turns = self.plain.turns if on is None else self.plain.tree(on)
        ended = sorted(turns.keys() - self.plain.running.values() - self.plain.withdrawn)
        return turns[ended[pick % len(ended)]] if ended else None

    # --- letting go ---------------------------------------------------------------------------------------------

    @rule(conversation=conversations)
    def delete(self, conversation: str) -> None:
        work = self.store.delete(conversation)
        if conversation not in self.plain.conversations:
            self.raises(NotFound, work)
        elif conversation in self.plain.running:
            self.raises(ConversationBusy, work)
        else:
            self.run(work)
            self.forget({conversation})

    @precondition(lambda self: self.plain.turns)
    @rule(pick=picks)
    def delete_turn(self, pick: int) -> None:
        ids = sorted(self.plain.turns)
        work = self.store.delete_turn(ids[pick % len(ids)])
        if ids[pick % len(ids)] in self.plain.withdrawn:
            self.raises(NotFound, work)
        elif self.plain.descendants(ids[pick % len(ids)]) & set(self.plain.running.values()):
            self.raises(ConversationBusy, work)
        else:
            assert self.run(work) == self.plain.delete_turn(ids[pick % len(ids)])

    @precondition(lambda self: self.plain.turns)
    @rule(pick=picks)
    def withdraw(self, pick: int) -> None:
        ids = sorted(self.plain.turns)
        id = ids[pick % len(ids)]
        work = self.store.withdraw(id)
        if id in self.plain.withdrawn:
            self.raises(NotFound, work)
        elif id in self.plain.running.values():
            self.raises(ConversationBusy, work)
        else:
            self.run(work)
            self.plain.withdraw(id)

    @rule(user=st.sampled_from(["ann", "bob", "nobody"]))
    def delete_user(self, user: str) -> None:
        theirs = {id for id, record in self.plain.conversations.items() if record.user == user}
        work = self.store.delete_user(user)
        if theirs & self.plain.running.keys():
            self.raises(ConversationBusy, work)
        else:
            assert self.run(work) == len(theirs)
            self.forget(theirs)

    @rule(retention=st.sampled_from([Retention(keep=1), Retention(idle_s=3600), Retention(age_s=0), Retention()]))
    def collect(self, retention: Retention) -> None:
        due = self.due(retention) - self.plain.running.keys()
        collected = self.run(self.store.collect(retention))
        assert (collected.conversations, collected.turns) == (len(due), self.forget(due))

    def due(self, retention: Retention) -> set[str]:
        if retention.age_s == 0:
            return set(self.plain.conversations)
        if retention.keep is None:
            return set()
        listed = self.run(self.store.conversations())
        last_of = {record.user: record.id for record in reversed(listed)}
        return self.plain.conversations.keys() - last_of.values()

    def forget(self, conversations: set[str]) -> int:
        """How many turns go with these conversations. What stays of theirs is another's now, who needs it."""
        count, heirs = self.plain.delete(conversations)
        for id, possible in heirs.items():
            (heir,) = {turn.conversation for turn in self.run(self.store.tree(min(possible))) if turn.id == id}
            assert heir in possible, f"{id} is {heir}'s now, who has nothing to do with it"
            self.plain.inherit(id, heir)
        return count

    # --- crashing -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.kind != "memory")
    @rule()
    def crash(self) -> None:
        """The process goes, and whatever it ran with it; another one opens the store."""
        self.run(self.whole.aclose())
        self.whole = open_store(self.url)
        for tenant in self.tenants:
            self.work_for(tenant)
            self.plain.crash({id: self.run(self.store.turn(id)) for id in self.plain.running.values()})

    # --- what holds after every step ----------------------------------------------------------------------------

    @invariant()
    def the_tree_is_whole(self) -> None:
        assert self.run(self.store.check()) == ()

    @invariant()
    def conversations_are_as_they_should_be(self) -> None:
        listed = self.run(self.store.conversations())
        order = [(record.updated_at, record.id) for record in listed]
        assert order == sorted(order, reverse=True)
        fields = ("id", "user", "head", "latest", "model", "instructions", "metadata")
        expected = self.plain.conversations
        assert {record.id for record in listed} == expected.keys()
        for record in listed:
            assert [getattr(record, each) for each in fields] == [getattr(expected[record.id], each) for each in fields]

    @invariant()
    def trees_and_paths_are_as_they_should_be(self) -> None:
        for id, record in self.plain.conversations.items():
            tree = self.run(self.store.tree(id))
            assert {turn.id: turn for turn in tree} == self.plain.tree(id)
            seen: set[str | None] = {None}
            for turn in tree:
                assert turn.parent in seen
                seen.add(turn.id)
            assert {each.id for each in self.run(self.store.family(id))} == self.plain.family(id)
            if record.head is not None:
                assert self.run(self.store.path(record.head)) == self.plain.path(record.head)

    @invariant()
    def what_was_withdrawn_is_not_found(self) -> None:
        for id in self.plain.withdrawn:
            self.raises(NotFound, self.store.turn(id))

    @invariant()
    def what_was_noted_is_found(self) -> None:
        for digest in DIGESTS:
            turn_id = self.plain.noted.get(digest)
            assert self.run(self.store.noted([digest])) == (None if turn_id is None else (digest, turn_id))

    @invariant()
    def what_was_said_is_found(self) -> None:
        running = set(self.plain.running.values())
        for word in WORDS[:2]:
            found = [each.turn for each in self.run(self.store.search(word, limit=1000))]
            assert self.plain.saying(word) - running <= {turn.id for turn in found} <= self.plain.saying(word)
            assert len({turn.id for turn in found}) == len(found)

    @invariant()
    def sums_are_right(self) -> None:
        user_of = {id: record.user or "" for id, record in self.plain.conversations.items()}
        turns = self.plain.turns
        names: dict[UsageBy, dict[str, str]] = {
            "conversation": {id: turn.conversation for id, turn in turns.items()},
            "user": {id: user_of[turn.conversation] for id, turn in turns.items()},
            "model": {id: turn.model or "" for id, turn in turns.items()},
        }
        for by, name_of in names.items():
            rows = self.run(self.store.usage(by))
            assert {row.name: (row.turns, row.usage) for row in rows} == self.plain.used(name_of)
        counts = self.run(self.store.statistics())
        there = (len(self.plain.conversations), len(turns), self.plain.attachments)
        assert (counts.conversations, counts.turns, counts.attachments) == there


def grow(of_kind: str, *, examples: int, steps: int, of: tuple[str, ...] = ("",)) -> None:
    class These(Trees):
        kind = of_kind
        tenants = of

    run_state_machine_as_test(
        These,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.parametrize(("kind", "examples"), [("memory", 25), ("sqlite", 12), ("postgres", 8)])
def test_a_tree_grows_as_plain_dicts_do(kind: str, examples: int) -> None:
    grow(kind, examples=examples, steps=25)


@pytest.mark.parametrize(("kind", "examples"), [("memory", 15), ("sqlite", 8), ("postgres", 5)])
def test_the_trees_of_tenants_grow_beside_each_other(kind: str, examples: int) -> None:
    grow(kind, examples=examples, steps=30, of=("acme", "bond"))


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_many_big_trees_grow_as_plain_dicts_do(kind: str) -> None:
    grow(kind, examples=200, steps=60)
    grow(kind, examples=100, steps=60, of=("acme", "bond", "corp"))


async def test_nothing_of_a_deleted_user_is_left_to_those_who_do_not_need_it(store: Store) -> None:
    """Found by the trees: what ann's fork needed of ann's first conversation became bob's, and outlived both."""
    first, second, third = [await say(store, "ann's", user="ann") for _ in range(3)]
    await store.create(ConversationRecord(id="bob's", user="bob", head=first.id))
    await store.create(ConversationRecord(id="ann's fork", user="ann", head=third.id))
    assert await store.delete_user("ann") == 2
    assert await store.path(first.id) == (msgspec.structs.replace(first, conversation="bob's"),)
    for turn in (second, third):
        with pytest.raises(NotFound):
            await store.turn(turn.id)
