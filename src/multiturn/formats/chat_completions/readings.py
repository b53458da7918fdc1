"""What single fields of a reply mean to us; whole replies and streams read them alike. Nothing here raises: a field of
a strange shape is as good as absent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.wire import (
    Choice,
    Count,
    ReplyAudio,
    ReplyMessage,
    ReplyToolCall,
    ReplyUsage,
)
from multiturn.formats.media import audio_type, from_base64, from_data_url
from multiturn.messages import (
    Audio,
    Citation,
    Image,
    Inline,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Text,
    Url,
    Usage,
)

FINISH_REASONS = {
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
}
"""Other words for OpenAI's; what is not here is kept as it came."""


def origin_of(model: str | None, dialect: Dialect) -> Origin:
    return Origin(provider=dialect.provider, model=model or None, format="chat_completions")


def finish_reason_of(choice: Choice) -> str | None:
    reason = choice.finish_reason
    return FINISH_REASONS.get(reason, reason) if reason else None


def reasoning_of(said: ReplyMessage) -> str:
    """The visible thinking; a server that sends both fields says the same in both."""
    text = said.reasoning_content or said.reasoning
    return text if isinstance(text, str) else ""


def content_parts(content: str | list[Any] | None, dialect: Dialect) -> list[Part]:
    """The parts of content, a string or a list; items of an unknown type become `Opaque`."""
    if not content:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    return [part for item in content if (part := _content_part(item, dialect)) is not None]


def _content_part(item: object, dialect: Dialect) -> Part | None:
    match item:
        case str(text) | {"type": "text", "text": str(text)}:
            return Text(text=text) if text else None
        case {"type": "refusal", "refusal": str(text)}:
            return Refusal(text=text) if text else None
        case {"type": "thinking", "thinking": thinking}:  # Mistral
            return Reasoning(text=_thinking(thinking))
        case {"type": "image_url"}:
            return next(iter(images_of([item])), None)
        case {"type": str(kind)}:
            return Opaque(provider=dialect.provider, data=msgspec.Raw(msgspec.json.encode(item)), kind=kind)
    return None


def _thinking(thinking: object) -> str:
    if isinstance(thinking, str):
        return thinking
    items = thinking if isinstance(thinking, list) else []
    return "".join(item["text"] for item in items if isinstance(item, dict) and isinstance(item.get("text"), str))


def call_of(call: ReplyToolCall) -> tuple[Any, str, str]:
    """A call's kind, name and arguments, or as much as this chunk has of them."""
    if call.custom is not None:
        return "custom", call.custom.name or "", call.custom.input or ""
    kind = "custom" if call.type == "custom" else "function"
    if call.function is None:
        return kind, "", ""
    arguments = call.function.arguments
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    return kind, call.function.name or "", arguments or ""


def audio_of(pieces: Iterable[ReplyAudio]) -> Audio:
    """The recording that these pieces make; without its bytes if they are not base64."""
    pieces = list(pieces)
    try:
        data = b"".join(from_base64(piece.data) for piece in pieces if piece.data)
    except ValueError:
        data = b""
    return Audio(
        source=Inline(data=data, media_type=audio_type(data)) if data else None,
        transcript="".join(piece.transcript for piece in pieces if piece.transcript) or None,
        id=next((piece.id for piece in pieces if piece.id), None),
    )


def images_of(images: object) -> list[Part]:
    """Pictures that a model made (`message.images` at OpenRouter)."""
    found: list[Part] = []
    for image in images if isinstance(images, list) else ():
        match image:
            case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
                try:
                    source = from_data_url(url) if url.startswith("data:") else Url(url=url)
                except ValueError:
                    source = Url(url=url)
                found.append(Image(source=source))
    return found


def cited(parts: tuple[Part, ...], citations: tuple[Citation, ...]) -> tuple[Part, ...]:
    """The parts, the last text of them resting on `citations`."""
    at = next((n for n in reversed(range(len(parts))) if isinstance(parts[n], Text)), None)
    if not citations or at is None:
        return parts
    text = msgspec.structs.replace(parts[at], citations=citations)
    return (*parts[:at], text, *parts[at + 1 :])


def citations_of(annotations: object) -> tuple[Citation, ...]:
    """The annotations that are citations. A span from 0 to 0 is none."""
    made = []
    for annotation in annotations if isinstance(annotations, list) else ():
        match annotation:
            case {"url_citation": {"url": str(url), **rest}}:
                start, end = _number(rest.get("start_index")), _number(rest.get("end_index"))
                title, quote = _text(rest.get("title")), _text(rest.get("content"))
                if not (start or end):
                    start = end = None
                made.append(Citation(url=url, title=title, quote=quote, start=start, end=end))
            case {"file_citation": {"file_id": str(id), **rest}}:
                made.append(Citation(file_id=id, title=_text(rest.get("filename"))))
    return tuple(made)


def addresses_of(citations: object) -> tuple[Citation, ...]:
    """Plain addresses beside the answer, as Perplexity and xAI give them."""
    items = citations if isinstance(citations, list) else []
    return tuple(Citation(url=item) for item in items if isinstance(item, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def usage_of(usage: ReplyUsage) -> Usage:
    """The counts, ours including what their provider leaves out: xAI's and Gemini's `completion_tokens` are without
    the thinking, which only `total_tokens` then shows."""
    inputs, outputs = usage.prompt_tokens_details, usage.completion_tokens_details
    prompt = _count(usage.prompt_tokens)
    cached = (inputs.cached_tokens if inputs else None) or usage.prompt_cache_hit_tokens or usage.cached_tokens
    return Usage(
        input_tokens=prompt,
        output_tokens=max(_count(usage.completion_tokens), _count(usage.total_tokens) - prompt),
        cached_tokens=_count(cached),
        cache_write_tokens=_count(inputs.cache_write_tokens if inputs else None),
        reasoning_tokens=_count(outputs.reasoning_tokens if outputs else None),
        cost_usd=_cost(usage),
    )


def _count(value: Count) -> int:
    return max(0, int(value or 0))


def _cost(usage: ReplyUsage) -> float | None:
    cost = usage.cost.get("total_cost") if isinstance(usage.cost, dict) else usage.cost
    if isinstance(cost, (int, float)) and not isinstance(cost, bool):
        return float(cost)
    return None if usage.cost_in_usd_ticks is None else usage.cost_in_usd_ticks / 1e10
