"""As a server: a client's messages as ours. Also for whoever holds messages as OpenAI-style dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.wire import (
    CONTENT_TYPES,
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    IncomingMessage,
    RefusalPart,
    TextPart,
    ToolCallItem,
    VideoPart,
)
from multiturn.formats.decoding import encode_items, read_request
from multiturn.formats.media import AUDIO_TYPES, file_type, from_base64, from_data_url
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    Video,
)

T = TypeVar("T")

_MESSAGES = msgspec.json.Decoder(list[IncomingMessage])


def decode_messages(items: Sequence[Mapping[str, object]], *, provider: str = "openai") -> tuple[Message, ...]:
    """Our messages for OpenAI-style ones: dicts, or the OpenAI SDK's own message objects among them. `items` is only
    read. `provider` is whose file and audio ids may be in them. Raises `InvalidInput`, whose message begins with the
    place: `messages[2].content: …`."""
    found = read_request(_MESSAGES, encode_items(items, "messages"), "messages", CONTENT_TYPES)
    return to_messages(found, provider)


def to_messages(items: Sequence[IncomingMessage], provider: str) -> tuple[Message, ...]:
    return tuple(_message(item, f"messages[{n}]", provider) for n, item in enumerate(items))


def _message(item: IncomingMessage, place: str, provider: str) -> Message:
    match item.role:
        case "system" | "developer" | "user":
            if item.content is None:
                raise InvalidInput(f"{place}.content: a {item.role} message needs content")
            return Message(role=item.role, parts=_contents(item, place, provider), name=item.name)
        case "assistant":
            return _assistant(item, place, provider)
        case "tool":
            return _tool_message(item, place, provider)
        case "function":
            raise InvalidInput(f"{place}.role: 'function' is gone from the API; use 'tool' with a tool_call_id")
    raise InvalidInput(f"{place}.role: {item.role!r} is none of system, developer, user, assistant, tool")


def _assistant(item: IncomingMessage, place: str, provider: str) -> Message:
    if item.function_call is not None:
        raise InvalidInput(f"{place}.function_call: this field is gone from the API; use tool_calls")
    parts: list[Part] = []
    if thought := item.reasoning_content or item.reasoning:
        parts.append(Reasoning(text=thought))
    parts += _contents(item, place, provider)
    if item.refusal:
        parts.append(Refusal(text=item.refusal))
    if item.audio is not None:
        parts.append(Audio(id=item.audio.id))
    parts += (_tool_call(call, f"{place}.tool_calls[{n}]") for n, call in enumerate(item.tool_calls or ()))
    # an audio id means something to one provider only, and a message says by its origin to which
    origin = Origin(provider=provider, format="chat_completions") if item.audio is not None else None
    return Message(role="assistant", parts=tuple(parts), name=item.name, origin=origin)


def _tool_message(item: IncomingMessage, place: str, provider: str) -> Message:
    if item.tool_call_id is None:
        raise InvalidInput(f"{place}.tool_call_id: a tool message must name the call that it answers")
    if item.content is None:
        raise InvalidInput(f"{place}.content: a tool message needs content")
    shown = [part for part in _contents(item, place, provider) if isinstance(part, (Text, Image, Audio, Video, File))]
    return Message(role="tool", parts=(ToolResult(call_id=item.tool_call_id, parts=tuple(shown), name=item.name),))


def _tool_call(call: ToolCallItem, place: str) -> ToolCall:
    if call.type == "custom" and not isinstance(call.custom, UnsetType):
        return ToolCall(call_id=call.id, name=call.custom.name, arguments=call.custom.input, kind="custom")
    if call.type == "function" and not isinstance(call.function, UnsetType):
        return ToolCall(call_id=call.id, name=call.function.name, arguments=call.function.arguments)
    raise InvalidInput(f"{place}.{call.type}: a call of this type needs it")


def _contents(item: IncomingMessage, place: str, provider: str) -> tuple[Part, ...]:
    if isinstance(item.content, str):
        return (Text(text=item.content),) if item.content else ()
    parts: list[Part] = []
    for n, content in enumerate(item.content or ()):
        try:
            parts.append(_content(content, provider))
        except ValueError as error:
            raise InvalidInput(f"{place}.content[{n}]: {error}") from error
    return tuple(parts)


def _content(content: ContentPart, provider: str) -> Part:
    """Raises `ValueError`, which does not yet say where."""
    match content:
        case TextPart(text=text):
            return Text(text=text)
        case RefusalPart(refusal=text):
            return Refusal(text=text)
        case ImagePart(image_url=image):
            return Image(source=_address(image.url), detail=image.detail)
        case VideoPart(video_url=video):
            return Video(source=_address(video.url))
        case AudioPart(input_audio=audio):
            media_type = AUDIO_TYPES.get(audio.format) or f"audio/{audio.format}"
            return Audio(source=Inline(data=audio.data, media_type=media_type))
        case FilePart(file=file):
            if file.file_id is not None:
                return File(source=Uploaded(file_id=file.file_id, provider=provider), name=file.filename)
            if file.file_data is None:
                raise ValueError("a file needs file_data or file_id")
            return File(source=_file(file.file_data, file.filename), name=file.filename)


def _address(url: str) -> Source:
    return from_data_url(url) if url.startswith("data:") else Url(url=url)


def _file(data: str, name: str | None) -> Inline:
    """File data is a data URL; bare base64 is taken too."""
    if data.startswith("data:"):
        return from_data_url(data)
    return Inline(data=from_base64(data), media_type=file_type(name))
