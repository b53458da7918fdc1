"""What single parts of a reply mean to us; whole replies and streams read them alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.wire import (
    CLIENT_SIDE,
    FINISH_REASONS,
    Proto,
    chat_pb2,
    opaque,
    tool_kind,
)
from multiturn.ids import new_id
from multiturn.messages import Citation, File, Opaque, Origin, Part, Reasoning, Text, ToolCall, Uploaded, Usage

TICKS_IN_USD = 10_000_000_000


def origin_of(model: str, dialect: Dialect) -> Origin:
    return Origin(provider=dialect.provider, model=model or None, format=dialect.format)


def parts_of_output(said: Proto, dialect: Dialect) -> list[Part]:
    """One output's `CompletionMessage`: thinking, text, calls. A server-side tool's output is one opaque part."""
    if said.role == chat_pb2.ROLE_TOOL:
        return [opaque(dialect.provider, "tool_output", replayed(said))]
    parts: list[Part] = []
    if said.reasoning_content or said.encrypted_content:
        parts.append(Reasoning(text=said.reasoning_content, encrypted=said.encrypted_content or None))
    if said.content:
        parts.append(Text(said.content, citations=tuple(map(_citation, said.citations))))
    return [*parts, *(call_of(call, dialect.provider) for call in said.tool_calls)]


def replayed(said: Proto) -> Proto:
    """A server-side tool's output as the message that goes back, as the SDK's `append(response)` makes it."""
    return chat_pb2.Message(
        role=said.role,
        content=[chat_pb2.Content(text=said.content)],
        encrypted_content=said.encrypted_content,
        tool_calls=said.tool_calls,
        tool_call_id=said.tool_calls[0].id if said.tool_calls else None,
    )


def call_of(call: Proto, provider: str) -> ToolCall | Opaque:
    """A call that the client runs, or one that the server has run."""
    if call.type not in CLIENT_SIDE:
        return opaque(provider, tool_kind(call), call)
    return ToolCall(call_id=call.id or new_id("call"), name=call.function.name, arguments=call.function.arguments)


def _citation(cited: Proto) -> Citation:
    """A span of the text and what it rests on. A span from 0 to 0 is none."""
    spanned = cited.start_index or cited.end_index
    found = cited.collections_citation
    return Citation(
        url=cited.web_citation.url or cited.x_citation.url or None,
        quote=found.chunk_content or None,
        start=cited.start_index if spanned else None,
        end=cited.end_index if spanned else None,
        file_id=found.file_id or None,
        id=cited.id or None,
    )


def cited(parts: tuple[Part, ...], addresses: Sequence[str]) -> tuple[Part, ...]:
    """The parts, the last text of them resting on these addresses too."""
    at = next((n for n in reversed(range(len(parts))) if isinstance(parts[n], Text)), None)
    if at is None or not addresses:
        return parts
    text = parts[at]
    assert isinstance(text, Text)
    citations = text.citations + tuple(Citation(url=url) for url in addresses)
    return (*parts[:at], msgspec.structs.replace(text, citations=citations), *parts[at + 1 :])


def files_of(files: Iterable[Proto], dialect: Dialect) -> list[Part]:
    """Files that a tool made while the model answered."""
    return [File(Uploaded(file.file_id, dialect.provider), name=file.name or None) for file in files]


def finish_reason_of(outputs: Iterable[Proto]) -> str | None:
    """Why the last output ended that says so."""
    reasons = [FINISH_REASONS.get(output.finish_reason) for output in outputs]
    return next((reason for reason in reversed(reasons) if reason), None)


def usage_of(usage: Proto) -> Usage:
    """The counts. The thinking, which `completion_tokens` may leave out, is in `total_tokens`."""
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=max(usage.completion_tokens, usage.total_tokens - usage.prompt_tokens),
        cached_tokens=usage.cached_prompt_text_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=usage.cost_in_usd_ticks / TICKS_IN_USD if usage.HasField("cost_in_usd_ticks") else None,
    )
