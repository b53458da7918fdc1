"""Roles and tools in the order that the API insists on.

A user's message that follows calls of tools begins with one result for each of them, and no other
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls). Within a turn, `merged` and `paired`
see to that. A turn may end with calls that the next turn's input answers, as a client does that runs its tools itself;
so what stands open at a turn's edges is looked at when turns are strung together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from multiturn.formats.anthropic.wire import Content, OutgoingMessage, TextBlock, ToolResultBlock, ToolUseBlock

NO_RESULT = "(There is no result: the call was left.)"


def merged(made: Iterable[OutgoingMessage]) -> list[OutgoingMessage]:
    """The same with neighbours of one role made one."""
    result: list[OutgoingMessage] = []
    for message in made:
        if result and result[-1].role == message.role:
            result[-1] = OutgoingMessage(message.role, [*result[-1].content, *message.content])
        else:
            result.append(message)
    return result


def paired(made: Iterable[OutgoingMessage]) -> list[OutgoingMessage]:
    """The messages of a turn, neighbours merged, each user's message answering the calls before it. What calls there
    were before the first message is not known here, and calls at the very end are left open."""
    result: list[OutgoingMessage] = []
    for message in made:
        if message.role == "user":
            message = answering(calls_in(result[-1]) if result else None, message)
        result.append(message)
    return result


def answering(calls: Iterable[str] | None, message: OutgoingMessage) -> OutgoingMessage:
    """The message with a result of each of these calls first, an error where it has none; results that nobody asked
    for are said in words. None for calls stands for those that it has results of."""
    asked = None if calls is None else dict.fromkeys(calls)
    results: dict[str, Content] = {}
    others: list[Content] = []
    for block in message.content:
        if not isinstance(block, ToolResultBlock):
            others.append(block)
        elif block.tool_use_id in results or (asked is not None and block.tool_use_id not in asked):
            others += _in_words(block)
        else:
            results[block.tool_use_id] = block
    missing = no_results(id for id in asked or () if id not in results)
    return OutgoingMessage(message.role, [*missing, *results.values(), *others])


def no_results(ids: Iterable[str]) -> list[Content]:
    return [ToolResultBlock(id, NO_RESULT, is_error=True) for id in ids]


def _in_words(result: ToolResultBlock) -> list[Content]:
    head = TextBlock(f"[{'error' if result.is_error else 'result'} of tool call {result.tool_use_id}]")
    if result.content is UNSET:
        return [head]
    return [head, *([TextBlock(result.content)] if isinstance(result.content, str) else result.content)]


def calls_in(message: OutgoingMessage) -> list[str]:
    return [block.id for block in message.content if isinstance(block, ToolUseBlock)]


def results_in(message: OutgoingMessage) -> list[str]:
    return [block.tool_use_id for block in message.content if isinstance(block, ToolResultBlock)]


class Edges(NamedTuple):
    """What a turn leaves to those around it: the results that it begins with and the calls that it ends with."""

    results: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


_EDGES = msgspec.json.Decoder(Edges)


def edges(made: Sequence[OutgoingMessage]) -> bytes:
    """The edges of a turn as JSON; empty where it leaves nothing, as nearly all do."""
    if not made:
        return b""
    found = Edges(
        tuple(results_in(made[0])) if made[0].role == "user" else (),
        tuple(calls_in(made[-1])) if made[-1].role == "assistant" else (),
    )
    return msgspec.json.encode(found) if found.results or found.calls else b""


def edges_of(kept: bytes) -> Edges:
    return _EDGES.decode(kept) if kept else Edges()
