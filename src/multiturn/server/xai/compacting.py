"""`CompactContext`: a shorter history in the place of a long one that the client keeps.

What the system has said stays as it is, and so do calls of tools that wait for their results; a summary by the model
stands for all the rest. Nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.context.frame import condensed
from multiturn.context.history import exchanges as exchanges_of
from multiturn.context.summary import WORDS
from multiturn.context.view import SUMMARY_ENDS, SUMMARY_OPENS
from multiturn.errors import InvalidInput
from multiturn.formats.xai.compaction import expanded, sealed
from multiturn.formats.xai.incoming import read, to_messages
from multiturn.formats.xai.served import encode_compaction
from multiturn.formats.xai.wire import ROLES, Proto, chat_pb2
from multiturn.ids import new_id
from multiturn.messages import Message, user
from multiturn.path import Path
from multiturn.request import Request
from multiturn.server.limits import check_items
from multiturn.server.xai.calls import Call
from multiturn.server.xai.shown import response_id
from multiturn.turns import pending_calls

_SYSTEM = (ROLES["system"], ROLES["developer"])


async def compact(call: Call) -> bytes:
    """`CompactContext`."""
    asked = read(chat_pb2.CompactContextRequest, call.body)
    check_items(len(asked.input), call.service.settings.limits)
    if not asked.model:
        raise InvalidInput("model: say which model is to write the summary")
    model = call.service.upstreams.model(asked.model)
    items = expanded(asked.input)
    messages = to_messages(items, model.provider)
    end = _open_from(messages)
    if not any(message.role not in ("system", "developer") for message in messages[:end]):
        raise InvalidInput("input: there is nothing to compact")
    path = Path(tuple(exchanges_of(messages[:end])))
    framing = call.service.exchanges.framing(truncates=True)
    answer = await condensed(framing, model, path, Request(path=path, input=(user(WORDS),)))
    if answer.usage:
        call.service.rates.spend(call.caller, answer.usage.total_tokens)
    system = [item for item in items[:end] if item.role in _SYSTEM]
    kept = [*system, _said(f"{SUMMARY_OPENS}{answer.text.strip()}{SUMMARY_ENDS}"), *items[end:]]
    dropped = sum(item.role not in _SYSTEM for item in asked.input) - len(items[end:])
    return encode_compaction(response_id(new_id("turn")), sealed(kept), dropped, answer.usage)


def _open_from(messages: Sequence[Message]) -> int:
    """Where the answer stands of whose calls one has no result yet; the end, if there is none."""
    waiting = {call.call_id for call in pending_calls(messages)}
    for n, message in enumerate(messages):
        if any(call.call_id in waiting for call in message.tool_calls):
            return n
    return len(messages)


def _said(text: str) -> Proto:
    return chat_pb2.Message(role=ROLES["user"], content=[chat_pb2.Content(text=text)])
