"""A turn as a chat completion, and what of a request is kept with it to be told again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from multiturn.deltas import Answer
from multiturn.errors import NotFound
from multiturn.formats.chat_completions import ECHOED, ServerRequest, encode_reply
from multiturn.messages import Message
from multiturn.turns import Turn, answered

CONVERSATION: Final = "chat"
"""What the id of a stored completion's conversation begins with; the rest is the turn's."""

_KIND = "chat completion"
_ID = re.compile("chatcmpl-([0-9a-v]{26})")  # `ids.new_id`


class _Kept(msgspec.Struct):
    """`Turn.asked`, as this door writes it; nothing of it is there where another has."""

    chat: dict[str, Raw] | None = None


_KEPT = msgspec.json.Decoder(_Kept)
_encode = msgspec.json.Encoder().encode


def completion_id(turn_id: str) -> str:
    return f"chatcmpl-{turn_id.partition('_')[2]}"


def turn_id(completion_id: str) -> str:
    """The id of the turn that is this completion. Raises `NotFound` for what can be none."""
    found = _ID.fullmatch(completion_id)
    if found is None:
        raise NotFound(_KIND, completion_id)
    return f"turn_{found[1]}"


def conversation_id(turn_id: str) -> str:
    """The id of the conversation that is a stored completion's own."""
    return f"{CONVERSATION}_{turn_id.partition('_')[2]}"


def turn_of(conversation_id: str) -> str:
    """The id of the turn that a stored completion's conversation was made for."""
    return f"turn_{conversation_id.partition('_')[2]}"


def no_completion(turn_id: str) -> NotFound:
    return NotFound(_KIND, completion_id(turn_id))


def kept(request: ServerRequest) -> str:
    """What is stored of the request: what the turn itself does not tell."""
    return _encode(_Kept(request.echo)).decode()


def completion_of(turn: Turn, metadata: Mapping[str, str] | None) -> bytes:
    """The completion that is this turn, as JSON, with all that a stored one tells. Raises `NotFound` where the model
    has said nothing."""
    asked = (_KEPT.decode(turn.asked).chat if turn.asked else None) or {}
    more: dict[str, Any] = {name: asked.get(name) for name in ECHOED if name != "user"}
    more |= {"input_user": asked.get("user"), "metadata": metadata or {}}
    return encode_reply(
        Answer(said_in(turn)[-1], turn.alternatives),
        id=completion_id(turn.id),
        created=int(turn.created_at),
        model=turn.model or "",
        usage=turn.usage,
        more=more,
    )


def said_in(turn: Turn) -> tuple[Message, ...]:
    """What was said in a run, up to its answer. Raises `NotFound` where there is none, or only the beginning of one."""
    output = turn.output
    while output and output[-1].role != "assistant":
        output = output[:-1]
    if not output or not answered(turn):
        raise no_completion(turn.id)
    return output
