"""Replies that came whole, read as a client and written as a server."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from multiturn.deltas import Answer
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.readings import (
    FINISH_REASONS,
    addresses_of,
    audio_of,
    call_of,
    citations_of,
    cited,
    content_parts,
    finish_reason_of,
    images_of,
    origin_of,
    reasoning_of,
    usage_of,
)
from multiturn.formats.chat_completions.wire import (
    COMPLETION,
    Choice,
    Completion,
    ReplyMessage,
    ReplyToolCall,
)
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.failures import reported_error, unreadable
from multiturn.formats.media import data_url
from multiturn.ids import new_id
from multiturn.messages import (
    Audio,
    Citation,
    Image,
    Inline,
    Message,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    Url,
    Usage,
)

_encoder = msgspec.json.Encoder()


def decode_reply(body: bytes, dialect: Dialect) -> Answer:
    """The answer of a reply that was not streamed; its further choices are `alternatives`, without usage. Raises
    `InvalidReply`, or the error that the body reports despite its status of 200."""
    try:
        completion = read(COMPLETION, body)
    except UNREADABLE as error:
        raise unreadable(body, dialect, str(error)) from error
    if completion.error or not completion.choices:
        if reported := reported_error(body, dialect, streamed=False):
            raise reported
        raise unreadable(body, dialect, "no choices")
    choices = sorted(completion.choices, key=lambda choice: choice.index or 0)
    check(choices, dialect, streamed=False)
    first, *others = (_message(choice, completion, dialect) for choice in choices)
    first = msgspec.structs.replace(
        first,
        id=None if completion.id is None else str(completion.id),
        usage=None if completion.usage is None else usage_of(completion.usage),
    )
    return Answer(first, alternatives=tuple(others))


def check(choices: Iterable[Choice], dialect: Dialect, *, streamed: bool) -> None:
    """Raise the error that a choice reports in place of an answer, as OpenRouter does."""
    for choice in choices:
        if choice.error:
            error = reported_error(_encoder.encode({"error": choice.error}), dialect, streamed=streamed)
            if error is not None:
                raise error


def _message(choice: Choice, completion: Completion, dialect: Dialect) -> Message:
    said = choice.message or choice.delta or ReplyMessage()
    citations = citations_of(said.annotations) + addresses_of(completion.citations)
    return Message(
        role="assistant",
        parts=cited(_parts(said, dialect), citations),
        origin=origin_of(completion.model, dialect),
        finish_reason=finish_reason_of(choice),
    )


def _parts(said: ReplyMessage, dialect: Dialect) -> tuple[Part, ...]:
    parts: list[Part] = []
    if thought := reasoning_of(said):
        parts.append(Reasoning(text=thought))
    parts += content_parts(said.content, dialect)
    if said.refusal:
        parts.append(Refusal(text=said.refusal))
    if said.audio is not None:
        parts.append(audio_of([said.audio]))
    parts += images_of(said.images)
    parts += (_tool_call(call) for call in said.tool_calls or ())
    if said.function_call is not None:
        parts.append(_tool_call(ReplyToolCall(function=said.function_call)))
    return tuple(parts)


def _tool_call(call: ReplyToolCall) -> ToolCall:
    kind, name, arguments = call_of(call)
    return ToolCall(call_id=call.id or new_id("call"), name=name, arguments=arguments, kind=kind)


# --- as a server ----------------------------------------------------------------------------------------------------

_NO_MORE: Mapping[str, Any] = {}
KNOWN_FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")


def encode_reply(
    answer: Answer, *, id: str, created: int, model: str, usage: Usage | None = None, more: Mapping[str, Any] = _NO_MORE
) -> bytes:
    """The body of a reply. `created` is in whole seconds since the epoch; without `usage`, the answer's own is told;
    `more` are fields that a stored completion has beside. Thinking goes into `reasoning_content` and pictures into
    `images`, as DeepSeek and OpenRouter do it."""
    usage = usage or answer.message.usage
    body = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(n, message) for n, message in enumerate((answer.message, *answer.alternatives))],
    }
    if usage is not None:
        body["usage"] = usage_fields(usage)
    return _encoder.encode({**body, **more})


def _choice(index: int, message: Message) -> dict[str, Any]:
    said = {"role": "assistant", "content": None, "refusal": None, **message_fields(message.parts)}
    return {"index": index, "message": said, "logprobs": None, "finish_reason": finish_reason_for(message)}


def finish_reason_for(message: Message) -> str:
    """OpenAI's word for why the message ended; a client knows no others."""
    reason = FINISH_REASONS.get(message.finish_reason or "", message.finish_reason)
    if reason in KNOWN_FINISH_REASONS:
        return reason
    return "tool_calls" if message.tool_calls else "stop"


def message_fields(parts: Iterable[Part]) -> dict[str, Any]:
    """The fields of a message, or of a chunk's delta, that hold these parts; none for parts it cannot show."""
    fields: dict[str, Any] = {}
    for part in parts:
        match part:
            case Text():
                before = fields.get("content", "")
                fields["content"] = before + part.text
                if annotations := [annotation(citation, len(before)) for citation in part.citations if citation.url]:
                    fields.setdefault("annotations", []).extend(annotations)
            case Refusal():
                fields["refusal"] = fields.get("refusal", "") + part.text
            case Reasoning():
                fields["reasoning_content"] = fields.get("reasoning_content", "") + (
                    part.text or "\n".join(part.summary)
                )
            case Audio():
                fields["audio"] = _audio_fields(part)
            case Image(source=Url() | Inline() as source):
                url = source.url if isinstance(source, Url) else data_url(source)
                fields.setdefault("images", []).append({"type": "image_url", "image_url": {"url": url}})
            case ToolCall():
                fields.setdefault("tool_calls", []).append(tool_call_fields(part))
    return fields


def tool_call_fields(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        return {"id": call.call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def annotation(citation: Citation, offset: int) -> dict[str, Any]:
    """A citation of an address. `offset` is where its text begins in the message; a span from 0 to 0 is none."""
    spanned = citation.unit == "answer_character" and citation.end is not None
    fields = {
        "start_index": offset + (citation.start or 0) if spanned else 0,
        "end_index": offset + (citation.end or 0) if spanned else 0,
        "title": citation.title or "",
        "url": citation.url,
    }
    quote = {"content": citation.quote} if citation.quote else {}
    return {"type": "url_citation", "url_citation": {**fields, **quote}}


def _audio_fields(audio: Audio) -> dict[str, Any]:
    source: Source | None = audio.source
    data = base64.b64encode(source.data).decode() if isinstance(source, Inline) else ""
    return {"id": audio.id or "", "data": data, "transcript": audio.transcript or "", "expires_at": 0}


def usage_fields(usage: Usage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    if usage.cache_write_tokens:
        fields["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write_tokens
    return fields if usage.cost_usd is None else {**fields, "cost": usage.cost_usd}
