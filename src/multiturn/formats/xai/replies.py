"""A reply that comes whole."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from multiturn.deltas import Answer
from multiturn.errors import InvalidReply
from multiturn.formats.failures import without_secrets
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.readings import (
    cited,
    files_of,
    finish_reason_of,
    origin_of,
    parts_of_output,
    usage_of,
)
from multiturn.formats.xai.wire import DecodeError, Proto, chat_pb2, dumps
from multiturn.messages import Message


def decode_reply(body: bytes, dialect: Dialect, *, choices: int = 1) -> Answer:
    """The answer of a `GetChatCompletionResponse`. Raises `InvalidReply`.

    Its outputs are one answer, which has several where tools ran at the server; with `choices` asked for, each is one
    of them, and the answer has no id then, for nothing says from which of them a request would go on."""
    return answer_of(read(chat_pb2.GetChatCompletionResponse, body, dialect), dialect, choices)


def read(kind: Proto, body: bytes, dialect: Dialect) -> Proto:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise unreadable(body, dialect, str(error)) from error


def unreadable(body: bytes, dialect: Dialect, problem: str) -> InvalidReply:
    start = without_secrets(body[:200].decode("utf-8", "replace"))
    return InvalidReply(
        f"{dialect.provider}'s answer cannot be read ({problem}); it begins {start!r}",
        provider=dialect.provider,
        body=start,
    )


def answer_of(reply: Proto, dialect: Dialect, choices: int) -> Answer:
    outputs = sorted(reply.outputs, key=lambda output: output.index)
    if not outputs:
        raise unreadable(dumps(reply), dialect, "no outputs")
    groups = [[output] for output in outputs] if choices > 1 else [outputs]
    first, *others = (_message(group, reply, dialect) for group in groups)
    first = msgspec.structs.replace(
        first,
        id=reply.id or None if not others else None,
        usage=usage_of(reply.usage) if reply.HasField("usage") else None,
    )
    return Answer(first, alternatives=tuple(others))


def _message(outputs: Sequence[Proto], reply: Proto, dialect: Dialect) -> Message:
    parts = [part for output in outputs for part in parts_of_output(output.message, dialect)]
    return Message(
        role="assistant",
        parts=cited((*parts, *files_of(reply.output_files, dialect)), reply.citations),
        origin=origin_of(reply.model, dialect),
        finish_reason=finish_reason_of(outputs),
    )
