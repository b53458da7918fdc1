"""The store's contract: it keeps turns and conversations, and nothing else. It never knows a provider.

Turns form a tree and are never rewritten. A conversation is a head on that tree. A store answers for five things:

- **Write, then show.** When `begin` returns, the user's words are durable.
- **Finish atomically.** `finish` ends a turn and moves the head in one transaction.
- **One at a time.** While a turn runs on a conversation no other may begin there, in this process or another; the
  lock dies with its holder.
- **A crash ends in `incomplete`.** A turn whose runner is gone is closed by whoever comes next, with the deltas that
  had been appended.
- **Growth is the new turn.** No call's cost, in time or bytes, depends on how much was said before, except `path` and
  `tree`, which give it all back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from multiturn.deltas import Delta
from multiturn.turns import Turn


class ConversationRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is kept of a conversation beside its turns. `head` is the turn that the next one follows, None at the
    start and after a reset; `latest` the turn begun last, also where it failed. `model` and `instructions` are those
    of the latest turn. Times are seconds since the epoch."""

    id: str
    head: str | None = None
    latest: str | None = None
    model: str | None = None
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


class Head(msgspec.Struct, frozen=True):
    """The parent of a turn that follows whatever the head is when it begins."""


HEAD: Final = Head()


class Store(Protocol):
    """Where turns live. Safe to share between threads, tasks and event loops.

    Every method raises `StoreError` where the medium fails. `NotFound` names what is missing.
    """

    @property
    def url(self) -> str:
        """The URL that opens this store again."""

    async def conversation(self, id: str) -> ConversationRecord:
        """One conversation. Raises `NotFound`."""

    async def conversations(self, *, limit: int = 100, before: float | None = None) -> tuple[ConversationRecord, ...]:
        """Conversations, the last updated first; those updated before the time `before`, if given."""

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        """Create a conversation, and give it back with its times. With a `head` it stands on that turn's tree, sharing
        every turn up to it. Raises `InvalidInput` if there is one of this id, `NotFound` if there is no such turn."""

    async def turn(self, id: str) -> Turn:
        """One turn. Raises `NotFound`."""

    async def path(self, head: str) -> tuple[Turn, ...]:
        """The turns from the root to this one, oldest first, as one snapshot. Raises `NotFound`."""

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        """Every turn of the conversation's tree, a parent before its children: failed ones, forks and edits too.
        Raises `NotFound`."""

    async def begin(
        self, turn: Turn, *, parent: str | Head | None = HEAD, metadata: dict[str, str] | None = None
    ) -> Turn:
        """Store a new turn, in progress, and give it back with its `parent` filled in. Creates the conversation with
        this `metadata` if there is none. Raises `ConversationBusy` while another turn runs there, `NotFound` if there
        is no such parent on the conversation's tree."""

    def append(self, turn_id: str, deltas: Sequence[Delta]) -> None:
        """Keep what a running turn has streamed since the last call. Does not wait and does not raise: these deltas
        outlive the process, though not a power loss, and `finish` makes them superfluous."""

    async def finish(self, turn: Turn) -> None:
        """Store the ended turn, and move the head to it if `continues(turn)`, in one transaction. Raises `NotFound`
        if the conversation or the turn has been deleted meanwhile, `ConversationBusy` if the turn was closed by
        another process, which took this one for dead."""

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        """Set the head, to a turn of the conversation's own tree or to None. Raises `NotFound`, and
        `ConversationBusy` while a turn runs."""

    async def delete(self, conversation_id: str) -> None:
        """Delete the conversation and every turn that no other conversation stands on or has made. Raises
        `NotFound`, and `ConversationBusy` while a turn runs."""

    async def aclose(self) -> None:
        """Write what is waiting and let go of the medium. Closing twice is fine."""
