"""`Plain`: what a store should hold, as plain dicts, in the fewest words; stores are held against it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from multiturn.messages import File, Inline, Usage
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Totals, Turn, TurnStatus, answered, continues


class Plain:
    """Every method makes the change of the store's method of the same name."""

    def __init__(self) -> None:
        self.conversations: dict[str, ConversationRecord] = {}
        self.turns: dict[str, Turn] = {}
        self.running: dict[str, str] = {}  # turns, by conversation
        self.keys: dict[tuple[str, str], str] = {}
        self.withdrawn: set[str] = set()  # turns that are there for those that follow them
        self.noted: dict[bytes, str] = {}  # turns, by what was said
        self._trees = 0
        self._tree_of: dict[str, int] = {}  # of conversations and of turns, by id

    # --- looking ------------------------------------------------------------------------------------------------

    def path(self, turn_id: str | None) -> tuple[Turn, ...]:
        if turn_id is None:
            return ()
        turn = self.turns[turn_id]
        return (*self.path(turn.parent), turn)

    def totals(self, turn_id: str | None) -> Totals:
        return Totals() if turn_id is None else self.turns[turn_id].totals

    def tree(self, conversation: str) -> dict[str, Turn]:
        tree = self._tree_of[conversation]
        return {id: turn for id, turn in self.turns.items() if self._tree_of[id] == tree}

    def family(self, conversation: str) -> set[str]:
        return {id for id in self.conversations if self._tree_of[id] == self._tree_of[conversation]}

    def descendants(self, turn_id: str) -> set[str]:
        """The turn among them."""
        return {id for id in self.turns if any(turn.id == turn_id for turn in self.path(id))}

    def saying(self, word: str) -> set[str]:
        """The turns that can be found in which a word stands."""
        saying = {id for id, turn in self.turns.items() if any(word in each.text.split() for each in turn.messages)}
        return saying - self.withdrawn

    def used(self, name_of: dict[str, str]) -> dict[str, tuple[int, Usage]]:
        """How many turns there are and what they used, under the name that each has."""
        sums: dict[str, tuple[int, Usage]] = {}
        for id, turn in self.turns.items():
            count, usage = sums.get(name_of[id], (0, Usage()))
            sums[name_of[id]] = (count + 1, usage + turn.usage)
        return sums

    @property
    def attachments(self) -> int:
        """How many different ones there are."""
        parts = [part for turn in self.turns.values() for message in turn.messages for part in message.parts]
        return len({part.source for part in parts if isinstance(part, File) and isinstance(part.source, Inline)})

    # --- a turn's life ------------------------------------------------------------------------------------------

    def create(self, record: ConversationRecord) -> None:
        self._trees += 1
        self._tree_of[record.id] = self._trees if record.head is None else self._tree_of[record.head]
        self.conversations[record.id] = msgspec.structs.replace(record, latest=record.head)

    def begin(self, turn: Turn, *, user: str | None = None, key: str | None = None) -> None:
        if turn.conversation not in self.conversations:
            self.create(ConversationRecord(id=turn.conversation, user=user, head=turn.parent))
        self.turns[turn.id] = turn
        self._tree_of[turn.id] = self._tree_of[turn.conversation]
        self.running[turn.conversation] = turn.id
        if key is not None:
            self.keys[turn.conversation, key] = turn.id
        self._change(turn.conversation, latest=turn.id, model=turn.model, instructions=turn.instructions)

    def under(self, conversation: str, key: str | None) -> Turn | None:
        """The turn that a send with this key gives back."""
        turn = self.turns.get(self.keys.get((conversation, key or ""), ""))
        return turn if turn is not None and answered(turn) else None

    def finish(self, turn: Turn) -> None:
        del self.running[turn.conversation]
        self.turns[turn.id] = turn
        if continues(turn):
            self._change(turn.conversation, head=turn.id)

    def move_head(self, conversation: str, head: str | None) -> None:
        self._change(conversation, head=head, latest=head)

    def _change(self, conversation: str, **changes: str | None) -> None:
        self.conversations[conversation] = msgspec.structs.replace(self.conversations[conversation], **changes)

    # --- letting go ---------------------------------------------------------------------------------------------

    def needs(self, conversation: str) -> set[str]:
        """The turns that a conversation stands on or has made, and those that they follow."""
        record = self.conversations[conversation]
        made = [id for id, turn in self.turns.items() if turn.conversation == conversation]
        return {turn.id for tip in (record.head, record.latest, *made) for turn in self.path(tip)}

    def delete(self, conversations: Iterable[str]) -> tuple[int, dict[str, set[str]]]:
        """How many turns went with these conversations; and the turns that they made and that stay, with those who
        need them: one of these has made them from now on."""
        gone = set(conversations)
        for conversation in gone:
            del self.conversations[conversation]
        needs = {conversation: self.needs(conversation) for conversation in self.conversations}
        kept = set().union(*needs.values())
        count = len(self.turns)
        self._drop(self.turns.keys() - kept)
        self._drop_withdrawn()
        self.keys = {name: turn for name, turn in self.keys.items() if name[0] not in gone}
        heirs = {
            id: {conversation for conversation, needed in needs.items() if id in needed}
            for id, turn in self.turns.items()
            if turn.conversation in gone
        }
        return count - len(self.turns), heirs

    def inherit(self, turn_id: str, heir: str) -> None:
        self.turns[turn_id] = msgspec.structs.replace(self.turns[turn_id], conversation=heir)

    def delete_turn(self, turn_id: str) -> int:
        gone = self.descendants(turn_id)
        self._step_back(gone, self.turns[turn_id].parent)
        self._drop(gone)
        self._drop_withdrawn()
        return len(gone)

    def withdraw(self, turn_id: str) -> None:
        if not self.is_followed(turn_id):
            self.delete_turn(turn_id)
            return
        self._step_back({turn_id}, self.turns[turn_id].parent)
        self.withdrawn.add(turn_id)
        self.noted = {digest: turn for digest, turn in self.noted.items() if turn != turn_id}
        self.keys = {name: turn for name, turn in self.keys.items() if turn != turn_id}

    def is_followed(self, turn_id: str) -> bool:
        return any(turn.parent == turn_id for turn in self.turns.values())

    def _step_back(self, gone: set[str], above: str | None) -> None:
        while above in self.withdrawn:
            above = self.turns[above].parent
        for id, record in self.conversations.items():
            if record.head in gone:
                self._change(id, head=above)
            if record.latest in gone:
                self._change(id, latest=self.conversations[id].head)

    def _drop_withdrawn(self) -> None:
        while alone := {id for id in self.withdrawn if not self.is_followed(id)}:
            self._drop(alone)

    def _drop(self, gone: Iterable[str]) -> None:
        for id in set(gone):
            del self.turns[id]
        self.withdrawn &= self.turns.keys()
        self.noted = {digest: turn for digest, turn in self.noted.items() if turn in self.turns}
        self.keys = {name: turn for name, turn in self.keys.items() if turn in self.turns}

    # --- crashing -----------------------------------------------------------------------------------------------

    def crash(self, after: dict[str, Turn]) -> None:
        """The turns that ran have ended as `after` has them."""
        for turn_id in list(self.running.values()):
            before, turn = self.turns[turn_id], after[turn_id]
            assert (turn.status, turn.reason) == (TurnStatus.INCOMPLETE, "crashed")
            assert (turn.input, turn.parent, turn.model) == (before.input, before.parent, before.model)
            assert turn.totals.turns == self.totals(turn.parent).turns + 1
            self.finish(turn)
