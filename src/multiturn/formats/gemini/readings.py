"""What single fields of a reply mean to us; whole replies and streams read them alike."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from multiturn.formats.gemini.content import SIGNED_MEDIA
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.media import media_of
from multiturn.formats.gemini.wire import Count, Counts, ReadCall, ReadPart
from multiturn.messages import Opaque, Origin, Part, Reasoning, Text, ToolCall, Usage

_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # a limit of one request; its continuation token is not used
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Our words for Google's; what is not here is kept in lower case."""


def origin_of(model: str | None, provider: str) -> Origin:
    return Origin(provider=provider, model=model or None, format=Dialect.format)


def finish_reason_of(reason: str | None, *, calls: bool) -> str | None:
    """Why an answer ended; Google's word for one with calls is the same as for any other."""
    found = _FINISH_REASONS.get(reason, reason.lower()) if reason else None
    return "tool_calls" if found == "stop" and calls else found


def usage_of(counts: Counts) -> Usage:
    """The counts. Google's prompt is without what its own tools brought, and its answer without the thinking."""
    thoughts = _count(counts.thoughts_token_count)
    return Usage(
        input_tokens=_count(counts.prompt_token_count) + _count(counts.tool_use_prompt_token_count),
        output_tokens=_count(counts.candidates_token_count) + thoughts,
        cached_tokens=_count(counts.cached_content_token_count),
        reasoning_tokens=thoughts,
    )


def _count(value: Count) -> int:
    return max(0, int(value or 0))


# --- parts ----------------------------------------------------------------------------------------------------------


def parts_of(read: ReadPart, raw: Raw, provider: str) -> tuple[Part, ...]:
    """What a model said in one part, which is `raw`: one of ours, a picture and the `Opaque` that holds its signature,
    or nothing. A call that came without an id has an empty one."""
    signature = read.thought_signature or None
    if read.text is not None:
        if not (read.text or signature):
            return ()
        said = Reasoning if read.thought else Text
        return (said(text=read.text, signature=signature),)
    if read.function_call is not None and read.function_call.name:
        return (call_of(read.function_call, signature),)
    if not read.thought and (media := media_of(read, provider)) is not None:
        return (media, _signature_of_media(signature, provider)) if signature else (media,)
    return _opaque(raw, provider)


def call_of(call: ReadCall, signature: str | None) -> ToolCall:
    args = bytes(call.args)
    arguments = "{}" if args in (b"", b"null") else args.decode()
    return ToolCall(call_id=call.id or "", name=call.name or "", arguments=arguments, signature=signature)


def _signature_of_media(signature: str, provider: str) -> Opaque:
    return Opaque(provider=provider, data=Raw(msgspec.json.encode(signature)), kind=SIGNED_MEDIA)


def _opaque(raw: Raw, provider: str) -> tuple[Part, ...]:
    """A part of another kind, to be replayed as it is: code that Google ran and what came of it, its own tools' calls,
    pictures that are thoughts. An empty object is nothing."""
    names = list(msgspec.json.decode(raw, type=dict[str, Raw]))
    kind = next((name for name in names if name not in ("thought", "thoughtSignature")), None)
    # a copy, for a slice would keep the whole body in memory
    return (Opaque(provider=provider, data=Raw(bytes(raw)), kind=kind or names[0]),) if names else ()
