"""A turn as a response of xAI's, and what of a request is kept with it to be told again. Every turn can be shown,
whichever door or library it came through."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from multiturn.deltas import Answer
from multiturn.errors import NotFound
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.outgoing import encode_reply
from multiturn.formats.xai.served import from_json, to_json
from multiturn.formats.xai.wire import Proto
from multiturn.server.xai.calls import Call
from multiturn.turns import Turn, TurnStatus, answered

DIALECT: Final = Dialect()
"""Whose encrypted thinking and server-side tools a client of this API can be shown: xAI's."""

_TOLD = frozenset(("messages", "model", "previous_response_id", "store_messages"))
"""The fields of a request that its turn tells."""


class _Kept(msgspec.Struct):
    """`Turn.asked`, as this door writes it; nothing of it is there where another has. The fields have their names in
    protobuf's JSON."""

    xai: dict[str, Any] | None = None


_KEPT = msgspec.json.Decoder(_Kept)
_encode = msgspec.json.Encoder().encode


def response_id(turn_id: str) -> str:
    return turn_id.partition("_")[2]


def turn_id(response_id: str) -> str:
    """The id of the turn that is this response. Raises `NotFound` for what can be none."""
    if not (response_id.isascii() and response_id.isalnum()):
        raise NotFound("response", response_id)
    return f"turn_{response_id}"


async def turn_of(call: Call, response_id: str) -> Turn:
    """The turn that is this response. Raises `NotFound`."""
    try:
        return await call.store.turn(turn_id(response_id))
    except NotFound:
        raise NotFound("response", response_id) from None


async def withdraw(call: Call, turn: Turn) -> None:
    """Let the response go; turns that follow it keep what they rest on. Raises `NotFound` where it is gone already."""
    try:
        await call.store.withdraw(turn.id)
    except NotFound:
        raise NotFound("response", response_id(turn.id)) from None


def kept(asked: Proto, *, deferred: bool) -> str | None:
    """What is stored of the request: what the turn itself does not tell. Of a deferred one also whether it is to be
    stored at all."""
    told = _TOLD if asked.n > 1 else _TOLD | {"n"}
    if not deferred and all(field.name in told for field, _ in asked.ListFields()):
        return None
    fields = to_json(asked, without=told - {"store_messages"} if deferred else told)
    return _encode(_Kept(fields)).decode()


def kept_settings(turn: Turn) -> bytes:
    """What is stored of the turn's request, as a request's bytes. Raises `InvalidInput` where it cannot be read."""
    return from_json(_fields(turn) or {})


def is_deferred(turn: Turn) -> bool:
    """Whether it is a deferred completion."""
    return turn.background and _fields(turn) is not None


def is_told_once(turn: Turn) -> bool:
    """Whether it is a deferred completion that is not to be stored: it goes once it has been fetched."""
    return is_deferred(turn) and not (_fields(turn) or {}).get("store_messages")


def is_stored(turn: Turn) -> bool:
    """Whether it is a response that can be read and gone on from: not one that still runs, or has failed, or is only to
    be fetched."""
    return turn.status not in (TurnStatus.IN_PROGRESS, TurnStatus.FAILED) and not is_told_once(turn)


def reply_of(turn: Turn) -> bytes:
    """The response that is this turn, which has ended. Raises `NotFound` where the model has said nothing."""
    said = next((message for message in reversed(turn.output) if message.role == "assistant"), None)
    if said is None:
        raise NotFound("response", response_id(turn.id))
    if turn.status is TurnStatus.INCOMPLETE and not answered(turn):
        said = msgspec.structs.replace(said, finish_reason="interrupted")
    fields = {"store_messages": not is_told_once(turn), **(_fields(turn) or {})}
    if turn.parent is not None:
        fields["previous_response_id"] = response_id(turn.parent)
    return encode_reply(
        Answer(said, turn.alternatives),
        id=response_id(turn.id),
        created=int(turn.created_at),
        model=turn.model or "",
        dialect=DIALECT,
        usage=turn.usage,
        request=from_json(fields),
        encrypted=bool(fields.get("use_encrypted_content")),
    )


def _fields(turn: Turn) -> dict[str, Any] | None:
    return _KEPT.decode(turn.asked).xai if turn.asked else None
