"""What stores give and take beside turns: plain values, the same for every store."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from multiturn.messages import Usage
from multiturn.turns import Turn, TurnStatus


class ConversationRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is kept of a conversation beside its turns. `head` is the turn that the next one follows, None at the
    start and after a reset; `latest` the turn begun last, also where it failed. `model` and `instructions` are those
    of the latest turn. `kind` is what it was made for: None stands for a conversation that somebody asked for; else it
    is one made for a `response`, a `chat.completion` or a `message` that named none. Times are seconds since the
    epoch."""

    id: str
    user: str | None = None
    head: str | None = None
    latest: str | None = None
    model: str | None = None
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    kind: str | None = msgspec.field(default=None, name="made_for")  # in an export, `kind` says what a line is


class Head(msgspec.Struct, frozen=True):
    """The parent of a turn that follows whatever the head is when it begins."""


HEAD: Final = Head()


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations: all conditions that are not None hold. `metadata` are pairs that must be there; `status` is
    that of the latest turn, and `model` the one it was for; `since` and `until` bound the last update, `since`
    inclusive. `kind` is the record's, and `conversation` stands for None there."""

    user: str | None = None
    metadata: dict[str, str] | None = None
    status: TurnStatus | None = None
    since: float | None = None
    until: float | None = None
    kind: str | None = None
    model: str | None = None


EVERYTHING: Final = Filter()

LISTED: Final = ("chat.completion",)
"""The kinds of conversations that are listed in the order in which they were made: stores have an index of these."""


class Cursor(NamedTuple):
    """A place in a listing: the last update and the id of the conversation after which the next page begins."""

    updated_at: float
    id: str


class Found(msgspec.Struct, frozen=True):
    """A turn whose words match a search, and a stretch of text around the first of them."""

    turn: Turn
    excerpt: str


UsageBy: TypeAlias = Literal["conversation", "user", "model", "day"]


class UsageRow(msgspec.Struct, frozen=True):
    """What was used under one name: a conversation's id, a user, a model or a day (YYYY-MM-DD, UTC). An empty name
    stands for conversations without a user, and for turns without a model."""

    name: str
    turns: int
    usage: Usage


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What `collect` lets go: conversations begun more than `age_s` seconds ago, those not updated for `idle_s`
    seconds, and all but the `keep` last updated of each user. None sets no such limit."""

    age_s: float | None = None
    idle_s: float | None = None
    keep: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of a server on this store. Whoever shows it is this tenant. Kept of it is its `digest`: the SHA-256 of
    the whole key, 32 bytes. `name` is for people. One with `revoked_at` is good for nothing any more. The limits are
    for all calls under this key together; None is no limit. Times are seconds since the epoch."""

    id: str
    tenant: str
    digest: bytes
    name: str | None = None
    created_at: float
    revoked_at: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Collected(msgspec.Struct, frozen=True):
    """What was let go, and the bytes by which the store has shrunk, where it can tell."""

    conversations: int = 0
    turns: int = 0
    attachments: int = 0
    freed_bytes: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is. `bytes_by_kind` are the store's own sizes on the disk: turns, search, attachments, …;
    `biggest` the conversations with the most bytes of turns made in them, most first; `turns_by_day` the new turns of
    each day (YYYY-MM-DD, UTC) on which there were any, oldest first."""

    conversations: int
    turns: int
    attachments: int
    bytes_by_kind: dict[str, int]
    biggest: tuple[tuple[str, int], ...]
    turns_by_day: tuple[tuple[str, int], ...]
