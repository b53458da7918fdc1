"""The parts of a content: what a model said, and what a user did."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from multiturn.formats.gemini.calls import SKIP, function_name, sent_id
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.media import media_part
from multiturn.formats.gemini.results import is_json_object
from multiturn.formats.gemini.wire import AnyPart, FunctionCall, Part
from multiturn.formats.switching import is_home
from multiturn.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Video,
)
from multiturn.messages import Part as OurPart

SIGNED_MEDIA = "inlineData.thoughtSignature"
"""The kind of an `Opaque` part that is the signature of the media part before it, for that has no field for one."""

_encoder = msgspec.json.Encoder()


def model_parts(parts: Iterable[OurPart], *, stand_in: str | None = None) -> list[AnyPart]:
    """What a model said, part by part. `stand_in` is the signature of the first call, where that has none."""
    made: list[AnyPart] = []
    for part in parts:
        match part:
            case Text(text=text, signature=signature) if text or signature:
                made.append(Part(text=text, thought_signature=signature))
            case Refusal(text=text) if text:
                made.append(Part(text=text))
            case Reasoning(signature=signature):
                text = part.text or "\n".join(part.summary)
                if text or signature:
                    made.append(Part(text=text, thought=True, thought_signature=signature))
            case ToolCall():
                made.append(Part(function_call=_call(part), thought_signature=part.signature or stand_in))
                stand_in = None
            case Opaque(kind=kind) if kind == SIGNED_MEDIA:
                _sign(made[-1:], part.data)
            case Opaque():
                made.append(part.data)
            case Image() | Audio() | Video() | File():
                made.append(media_part(part))
    return made


def stand_in_for(message: Message, dialect: Dialect) -> str | None:
    """The signature of a call that Gemini did not make: of another provider's message, and of a caller's own if
    nothing in it is signed."""
    foreign = message.origin is None or not is_home(message.origin, dialect)
    signed = any(getattr(part, "signature", None) for part in message.parts)
    return SKIP if dialect.foreign_calls and foreign and not signed else None


def _call(call: ToolCall) -> FunctionCall:
    return FunctionCall(function_name(call.name), _arguments(call), sent_id(call.call_id))


def _arguments(call: ToolCall) -> Raw:
    text = call.arguments
    if call.kind == "custom":
        return Raw(_encoder.encode({"input": text}))
    if not text.strip():
        return Raw(b"{}")
    return Raw(text) if is_json_object(text) else Raw(_encoder.encode({"invalid_json": text}))


def _sign(last: list[AnyPart], data: Raw) -> None:
    for part in last:
        if isinstance(part, Part) and (part.inline_data or part.file_data):
            part.thought_signature = msgspec.json.decode(data, type=str)


def user_parts(message: Message, parts: Iterable[OurPart]) -> list[AnyPart]:
    """What anybody but a model said, results of tools apart."""
    made: list[AnyPart] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) if text:
                of_system = message.role in ("system", "developer")
                made.append(Part(text=f"<system>\n{text}\n</system>" if of_system else text))
            case Opaque():
                made.append(part.data)
            case Image() | Audio() | Video() | File():
                made.append(media_part(part))
    return made
