"""Our parts as blocks of a message."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from multiturn.formats.anthropic.citations import citation_fields
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.wire import (
    Base64Source,
    Content,
    DocumentBlock,
    FileSource,
    ImageBlock,
    RedactedThinkingBlock,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from multiturn.formats.switching import in_words
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    Video,
)

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
_encoder = msgspec.json.Encoder()


class CallExtras(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a call holds that only Anthropic understands, kept as JSON in `ToolCall.signature`: who called, where that
    is not the model itself but code that it wrote, and the toolset that the tool belongs to."""

    caller: Raw | UnsetType = UNSET
    toolset_name: str | UnsetType = UNSET


_EXTRAS = msgspec.json.Decoder(CallExtras)


def block_of(part: Part, message: Message, dialect: Dialect) -> Content | None:
    """The block that this part of `message` is sent as; None for what is not sent, and for results, which have a place
    of their own. The API refuses text that is empty or white space."""
    of_model = message.role == "assistant"
    match part:
        case Text(text=text) | Refusal(text=text):
            return _text(text, part if of_model else None)
        case Opaque():
            return part.data
        case Reasoning() if of_model:
            return _thinking(part, message, dialect)
        case ToolCall() if of_model:
            return tool_use(part)
        case Image() | Audio() | Video() | File():
            shown = None if message.role in ("assistant", "system", "developer") else _media(part)
            return shown or TextBlock(in_words(part))
    return None


def _text(text: str, part: Text | Refusal | None = None) -> TextBlock | None:
    if not text.strip():
        return None
    cited = citation_fields(part.citations) if isinstance(part, Text) else []
    return TextBlock(text, cited or None)


def _thinking(part: Reasoning, message: Message, dialect: Dialect) -> Content | None:
    """Only what its provider has signed or encrypted, unless the provider signs nothing."""
    if part.signature:
        return ThinkingBlock(part.text, part.signature)
    if part.encrypted:
        return RedactedThinkingBlock(part.encrypted)
    own = message.origin is not None  # `switched` has left nobody else's
    return ThinkingBlock(part.text) if dialect.unsigned_thinking and own and part.text else None


def tool_use(call: ToolCall) -> ToolUseBlock:
    """The call, its arguments as the model wrote them where they are a JSON object."""
    extras = _extras(call.signature)
    return ToolUseBlock(call.call_id, call.name, _input(call), extras.caller, extras.toolset_name)


def _extras(signature: str | None) -> CallExtras:
    try:
        return _EXTRAS.decode(signature) if signature else CallExtras()
    except (msgspec.DecodeError, ValueError, RecursionError):  # the signature of another provider's call
        return CallExtras()


def _input(call: ToolCall) -> Raw:
    text = call.arguments
    if call.kind == "custom":
        return Raw(_encoder.encode({"input": text}))
    if not text.strip():
        return Raw(b"{}")
    return Raw(text.encode() if _is_json_object(text) else _encoder.encode({"invalid_json": text}))


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def tool_result(result: ToolResult) -> ToolResultBlock:
    """The result; a single text as a string, nothing at all without `content`."""
    blocks = [
        _text(part.text) if isinstance(part, Text) else _media(part) or TextBlock(in_words(part))
        for part in result.parts
    ]
    content = [block for block in blocks if block is not None]
    return ToolResultBlock(result.call_id, plain(content) or content or UNSET, result.is_error)


def plain(content: Sequence[object]) -> str | None:
    """The text of a content that is one text and nothing more."""
    match content:
        case [TextBlock(text=text, citations=None)]:
            return text
    return None


# --- media ----------------------------------------------------------------------------------------------------------


def _media(part: Image | Audio | Video | File) -> ImageBlock | DocumentBlock | None:
    """The image or the document; None for what the API does not take."""
    match part:
        case Image(source=source):
            return _image(source)
        case File(source=Inline(media_type=media_type) as source) if media_type in IMAGE_TYPES:
            return _image(source)
        case File(source=Inline() as source):
            document = _document(source)
            return None if document is None else DocumentBlock(document, part.name or None)
        case File(source=Url(url=url, media_type=media_type)) if media_type in (None, PDF):
            return DocumentBlock(UrlSource(url), part.name or None)
        case File(source=Uploaded(file_id=file_id)):
            return DocumentBlock(FileSource(file_id), part.name or None)
    return None


def _image(source: Url | Inline | Uploaded) -> ImageBlock | None:
    match source:
        case Url(url=url):
            return ImageBlock(UrlSource(url))
        case Uploaded(file_id=file_id):
            return ImageBlock(FileSource(file_id))
        case Inline(data=data, media_type=media_type):
            media_type = "image/jpeg" if media_type == "image/jpg" else media_type
            return ImageBlock(Base64Source(media_type, data)) if data and media_type in IMAGE_TYPES else None


def _document(source: Inline) -> Base64Source | TextSource | None:
    if not source.data:
        return None
    if source.media_type == PDF:
        return Base64Source(PDF, source.data)
    if not source.media_type.startswith("text/") and source.media_type != "application/json":
        return None
    try:
        text = source.data.decode()
    except UnicodeDecodeError:
        return None
    return TextSource(text) if text.strip() else None
