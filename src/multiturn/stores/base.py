"""The store's contract: it keeps turns and conversations, and nothing else. It never knows a provider.

Turns form a tree and are never rewritten. A conversation is a head on that tree. A store answers for five things:

- **Write, then show.** When `begin` returns, the user's words are durable.
- **Finish atomically.** `finish` ends a turn and moves the head in one transaction.
- **One at a time.** While a turn runs on a conversation no other may begin there, in this process or another; the
  lock dies with its holder.
- **A crash ends in `incomplete`.** A turn whose runner is gone is closed by whoever comes next, with the deltas that
  had been appended.
- **Growth is the new turn.** No call's cost, in time or bytes, depends on how much was said before, except of those
  that give it all back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from multiturn.deltas import Draft
from multiturn.stores.live import LiveStore
from multiturn.stores.records import (
    EVERYTHING,
    HEAD,
    Collected,
    ConversationRecord,
    Cursor,
    Filter,
    Found,
    Head,
    KeyRecord,
    Retention,
    Statistics,
    UsageBy,
    UsageRow,
)
from multiturn.turns import Turn


class Store(LiveStore, Protocol):
    """Where turns live. Safe to share between threads, tasks and event loops.

    A store is what one tenant sees of it: what `open_store` gives is that of the tenant `''`, who stands for everybody
    where there are no tenants. Of what belongs to another tenant, nothing can be told from what was never there.

    Every method raises `StoreError` where the medium fails. `NotFound` names what is missing.
    """

    # --- tenants and their keys ---

    def tenant(self, name: str) -> Store:
        """This store as a tenant sees it; the store that `open_store` gave for `''`. Costs nothing, waits for nothing,
        and shares all that this one has: closing it closes nothing, it is closed when the store is, and it holds the
        store as whoever opened it does. A tenant is there as soon as it has something."""

    async def tenants(self) -> tuple[str, ...]:
        """The tenants that have conversations, by name; all of them, whoever asks."""

    async def create_key(self, record: KeyRecord) -> None:
        """Keep an API key. Keys are the store's, whichever tenant asks; so for the other three. Raises `InvalidInput`
        if there is one of this id or digest."""

    async def key(self, digest: bytes) -> KeyRecord | None:
        """The API key of this digest, a revoked one too; None if there is none."""

    async def keys(self) -> tuple[KeyRecord, ...]:
        """Every API key, revoked ones too, the oldest first."""

    async def revoke_key(self, id: str) -> None:
        """Let an API key be good for nothing from now on. One that is revoked stays as it is. Raises `NotFound`."""

    # --- conversations and turns ---

    @property
    def url(self) -> str:
        """The URL that opens this store again; without a password."""

    @property
    def closed(self) -> bool:
        """Whether `aclose` has been called."""

    async def conversation(self, id: str) -> ConversationRecord:
        """One conversation. Raises `NotFound`."""

    async def conversations(
        self, *, filter: Filter = EVERYTHING, limit: int = 100, after: Cursor | None = None
    ) -> tuple[ConversationRecord, ...]:
        """Conversations, the last updated first, then by id, descending; those behind `after`, if given."""

    async def made(
        self,
        kind: str,
        *,
        filter: Filter = EVERYTHING,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[ConversationRecord, ...]:
        """Conversations of a kind by their ids, ascending, or descending for `newest_first`; those behind the id
        `after`, if given. Of the kinds in `LISTED`, a page costs no more than it holds, where the filter lets it
        pass."""

    async def create(self, record: ConversationRecord) -> ConversationRecord:
        """Create a conversation, and give it back with its times. With a `head` it stands on that turn's tree, sharing
        every turn up to it. Raises `InvalidInput` if there is one of this id, `NotFound` if there is no such turn."""

    async def update(self, conversation_id: str, *, metadata: dict[str, str] | None) -> ConversationRecord:
        """Give a conversation other metadata, whether a turn runs there or not; the conversation as it is then. Raises
        `NotFound`."""

    async def turn(self, id: str) -> Turn:
        """One turn. Raises `NotFound`."""

    async def path(self, head: str, *, after: str | None = None) -> tuple[Turn, ...]:
        """The turns from the root to this one, oldest first, as one snapshot; only those that follow the turn `after`
        where that is on the way. Raises `NotFound`."""

    async def tree(self, conversation_id: str) -> tuple[Turn, ...]:
        """Every turn of the conversation's tree, a parent before its children: failed ones, forks and edits too.
        Raises `NotFound`."""

    async def family(self, conversation_id: str) -> tuple[ConversationRecord, ...]:
        """The conversations on the same tree, this one among them, by id. Raises `NotFound`."""

    # --- a turn's life ---

    async def begin(
        self,
        turn: Turn,
        *,
        parent: str | Head | None = HEAD,
        user: str | None = None,
        metadata: dict[str, str] | None = None,
        key: str | None = None,
        kind: str | None = None,
    ) -> Turn:
        """Store a new turn, in progress, and give it back with its `parent` filled in. Creates the conversation with
        this `user`, `metadata` and `kind` if there is none: at the parent, if one is given by its id, sharing every
        turn up to it, else on a new tree. Raises `ConversationBusy` while another turn runs there, `NotFound` if there
        is no such parent on the conversation's tree.

        `key` makes the call idempotent: if a turn of this conversation has begun under it and is `answered`, nothing
        is stored and that turn comes back. One that was not answered leaves its key to the new turn."""

    def append(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        """Keep what a running turn has streamed since the last call. Does not wait and does not raise: these drafts
        outlive the process, though not a power loss, and `finish` makes them superfluous."""

    async def keep(self, turn_id: str, drafts: Sequence[Draft]) -> None:
        """The same, durable when this returns: for what must not happen twice."""

    async def reopen(self, turn_id: str) -> Turn:
        """Set a paused or failed turn in progress again, and give it back as it was. Raises `ConversationBusy` while a
        turn runs on its conversation, `NotFound`, and `InvalidInput` if it is neither paused nor failed, or another
        turn has begun since."""

    async def finish(self, turn: Turn) -> None:
        """Store the ended turn, and move the head to it if `continues(turn)`, in one transaction. Raises `NotFound`
        if the conversation or the turn has been deleted meanwhile, `ConversationBusy` if the turn was closed by
        another process, which took this one for dead."""

    async def move_head(self, conversation_id: str, head: str | None) -> None:
        """Set the head, to a turn of the conversation's own tree or to None. Raises `NotFound`, and
        `ConversationBusy` while a turn runs."""

    # --- finding ---

    def note(self, turn_id: str, digest: bytes) -> None:
        """Let a turn be found by what was said up to its end, of which `digest` is made. Does not wait and does not
        raise; of two turns with the same digest, the one noted last counts. It goes with the turn."""

    async def noted(self, digests: Sequence[bytes]) -> tuple[bytes, str] | None:
        """The first of these digests under which a turn was noted, and that turn's id; None if there is none."""

    async def search(self, words: str, *, user: str | None = None, limit: int = 20) -> tuple[Found, ...]:
        """Turns in which all of these words stand, the newest first; a part in double quotes must stand as it is, and
        a word that ends in `*` is a beginning. Case and accents do not count. Raises `SearchOff` where what was said
        is sealed, `InvalidInput` where there is no word to look for."""

    async def usage(
        self, by: UsageBy, *, since: float | None = None, until: float | None = None
    ) -> tuple[UsageRow, ...]:
        """What was used, summed, the most tokens first (days: oldest first). `since` and `until` are days: any time
        within them."""

    async def statistics(self) -> Statistics:
        """How much there is. Sizes on the disk are those of all tenants together."""

    # --- letting go ---

    async def delete(self, conversation_id: str) -> None:
        """Delete the conversation and every turn that no other conversation stands on or has made. Raises
        `NotFound`, and `ConversationBusy` while a turn runs."""

    async def delete_turn(self, turn_id: str) -> int:
        """Delete a turn and all its descendants; how many turns that were. A conversation that stood on one of them
        stands on the turn's parent now. Raises `NotFound`, and `ConversationBusy` while one of them runs."""

    async def delete_user(self, user: str) -> int:
        """Delete every conversation of a user, as `delete` does; how many there were. Raises `ConversationBusy`, and
        deletes nothing, while a turn runs on one of them."""

    async def collect(self, retention: Retention) -> Collected:
        """Delete what the rules let go, in small transactions, and give space back. Conversations on which a turn runs
        are left for the next time. The store that `open_store` gave does so for every tenant, another for its own."""

    # --- moving and checking ---

    async def restore(self, records: Sequence[ConversationRecord], turns: Sequence[Turn]) -> None:
        """Store whole conversations of one tree and their finished turns, parents first, as they were elsewhere, in
        one transaction. Raises `InvalidInput` if one of the ids is taken."""

    async def reseal(self) -> int:
        """Write every turn again as the seal is now, under its first key or plainly, in small transactions, and make
        the index of words anew or do away with it; how many turns. After that, older keys can go. Interrupted, it can
        be run again. Of all tenants, whichever asks."""

    async def check(self) -> tuple[str, ...]:
        """What is wrong with the tree, a sentence each; empty if all is well. Of all tenants, whichever asks."""

    async def aclose(self) -> None:
        """Write what is waiting and let go of the medium; nothing where this is a tenant's view (`tenant`). Closing
        twice is fine."""
