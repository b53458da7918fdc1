"""As a server: a client's input items as messages. Also for whoever holds such items as dicts.

The items of one answer that stand in a row (thinking, messages, calls, what only its provider understands) become one
message; where two of its messages have no ids to tell them apart, the second begins another. Ids that our own server
made are dropped: they name a place here (`item_ids`), and nothing that a provider knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.decoding import UNREADABLE, encode_items, read, read_request
from multiturn.formats.media import AUDIO_TYPES, file_type, from_base64, from_data_url
from multiturn.formats.responses.annotations import citations_of
from multiturn.formats.responses.calls import call_of
from multiturn.formats.responses.compaction import compaction, opened
from multiturn.formats.responses.item_ids import place_of
from multiturn.formats.responses.readings import reasoning_of
from multiturn.formats.responses.wire import (
    CONTENT_TYPES,
    KIND,
    REASONING,
    IncomingContent,
    IncomingCustomCall,
    IncomingFunctionCall,
    IncomingMessage,
    IncomingOutput,
    IncomingPicture,
    IncomingReasoning,
    InputAudio,
    InputFile,
    InputImage,
    InputText,
    InputVideo,
    OutputRefusal,
    OutputText,
)
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
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

_ITEMS = msgspec.json.Decoder(list[Raw])
_MESSAGE = msgspec.json.Decoder(IncomingMessage)
_REASONING = msgspec.json.Decoder(IncomingReasoning)
_PICTURE = msgspec.json.Decoder(IncomingPicture)
_OUTPUT = msgspec.json.Decoder(IncomingOutput)
_CALLS: dict[str, msgspec.json.Decoder[Any]] = {
    "function_call": msgspec.json.Decoder(IncomingFunctionCall),
    "custom_tool_call": msgspec.json.Decoder(IncomingCustomCall),
}


def decode_messages(input: str | Sequence[Mapping[str, object]], *, provider: str = "openai") -> tuple[Message, ...]:
    """The messages that this input means: a text, or items as dicts or as the OpenAI SDK's own objects, which are only
    read. `provider` is whose ids, encrypted thinking and opaque items may be in them. Raises `InvalidInput`, whose
    message begins with the place: `input[2].content: …`."""
    if isinstance(input, str):
        return to_messages(input, provider)
    items = read_request(_ITEMS, encode_items(input, "input", by_alias=True), "input")
    return to_messages(items, provider)


def to_messages(
    input: str | Sequence[Raw],
    provider: str,
    items: Mapping[str, Message] = MappingProxyType({}),
    known: Collection[str] = (),
    *,
    place: str = "input",
) -> tuple[Message, ...]:
    """As `decode_messages`, of items as JSON; `items` are those that references may lead to, by their ids, and `known`
    the ids of those that are passed over. `place` is where errors say that they stand."""
    if isinstance(input, str):
        return (Message("user", (Text(text=input),) if input else ()),)
    reading = _Reading(provider, items, known)
    for nth, item in enumerate(input):
        try:
            reading.add(item, f"{place}[{nth}]")
        except msgspec.ValidationError as error:  # of a field that is there twice, each time of another type
            raise InvalidInput(f"{place}[{nth}]: {error}") from error
    return reading.messages()


def references(messages: Sequence[Message]) -> list[str]:
    """The ids of the items that these messages only refer to: those that `items` did not have."""
    parts = (part for message in messages for part in message.parts)
    referring = (part.data for part in parts if isinstance(part, Opaque) and part.kind == "item_reference")
    return [str(read_request(KIND, data, "input").id) for data in referring]


class _Reading:
    """Items in, messages out."""

    def __init__(self, provider: str, items: Mapping[str, Message], known: Collection[str]) -> None:
        self._provider = provider
        self._items = items
        self._known = known
        self._referred: Message | None = None  # the answer that references have made up, if it is the last message
        self._messages: list[Message] = []
        self._answer: list[Part] = []  # of the answer that is being read

    def messages(self) -> tuple[Message, ...]:
        self._end_answer()
        return tuple(self._messages)

    def add(self, item: Raw, place: str) -> None:
        found = read_request(KIND, item, place)
        if not isinstance(found.id, str | None):
            raise InvalidInput(f"{place}.id: it must be a string")
        id = found.id if isinstance(found.id, str) else ""
        if id in self._known:
            return
        kind = found.type or ("message" if found.role is not None else "item_reference")
        match kind:
            case "message":
                self._add_message(read_request(_MESSAGE, item, place, CONTENT_TYPES), place)
            case "reasoning":
                read_request(_REASONING, item, place)
                self._answer.append(_without_our_id(reasoning_of(item)))
            case "function_call" | "custom_tool_call":
                read_request(_CALLS[kind], item, place)
                self._answer.append(_without_our_id(call_of(item, kind)))
            case "function_call_output" | "custom_tool_call_output":
                output = read_request(_OUTPUT, item, place, CONTENT_TYPES)
                parts = _parts(output.output, f"{place}.output", self._provider)
                shown = tuple(part for part in parts if isinstance(part, Text | Image | Audio | Video | File))
                of: Literal["function", "custom"] = "custom" if kind == "custom_tool_call_output" else "function"
                self._said(Message("tool", (ToolResult(call_id=output.call_id, parts=shown, kind=of),)))
            case "item_reference" if id in self._items:
                self._add_stored(self._items[id])
            case "compaction" if text := opened(_sealed(item, place)):
                self._said(compaction(text))
            case "image_generation_call" if (picture := _our_picture(item)) is not None:
                self._answer.append(picture)
            case _:
                self._add_opaque(Opaque(provider=self._provider, data=Raw(bytes(item)), kind=kind))

    def _add_message(self, item: IncomingMessage, place: str) -> None:
        parts = _parts(item.content, f"{place}.content", self._provider)
        match item.role:
            case "system" | "developer" | "user":
                self._said(Message(item.role, parts))
            case "assistant":
                self._add_words(item, parts)
            case "tool":
                raise InvalidInput(f"{place}.role: a tool's result is an item of type 'function_call_output'")
            case _:
                raise InvalidInput(f"{place}.role: {item.role!r} is none of user, system, developer, assistant")

    def _add_words(self, item: IncomingMessage, parts: Sequence[Part]) -> None:
        id = item.id if item.id and place_of(item.id) is None else None
        if id is None and self._answer and isinstance(last := self._answer[-1], Text | Refusal) and last.id is None:
            self._end_answer()
        for part in parts or ([Text(text="")] if id else []):
            if isinstance(part, Text):
                part = msgspec.structs.replace(part, id=id, phase=item.phase)
            elif isinstance(part, Refusal):
                part = msgspec.structs.replace(part, id=id)
            self._answer.append(part)

    def _add_opaque(self, part: Opaque) -> None:
        """What a client made itself, such as the outcome of a `computer_call`, is no part of an answer."""
        if part.kind == "mcp_approval_response" or (part.kind or "").endswith("_output"):
            self._said(Message("tool", (part,), origin=self._origin))
        else:
            self._answer.append(part)

    def _add_stored(self, message: Message) -> None:
        """An item that a reference led to. Those of one answer belong together, as they were."""
        last = self._referred if not self._answer and self._messages and self._messages[-1] is self._referred else None
        if last is not None and message.role == "assistant" and last.origin == message.origin:
            self._messages.pop()
            message = msgspec.structs.replace(last, parts=last.parts + message.parts)
        self._said(message)
        self._referred = message if message.role == "assistant" else None

    def _said(self, message: Message) -> None:
        self._end_answer()
        self._messages.append(message)

    def _end_answer(self) -> None:
        if self._answer:
            origin = self._origin if any(map(_is_scoped, self._answer)) else None
            self._messages.append(Message("assistant", tuple(self._answer), origin=origin))
            self._answer = []

    @property
    def _origin(self) -> Origin:
        return Origin(provider=self._provider, format="responses")


def _is_scoped(part: Part) -> bool:
    """Whether the part means something to one provider only, so that the message has to say to which."""
    match part:
        case Text(id=id, phase=phase):
            return bool(id or phase or any(citation.file_id for citation in part.citations))
        case Reasoning(id=id, encrypted=encrypted):
            return bool(id or encrypted)
        case ToolCall(id=id, signature=signature):
            return bool(id or signature)
        case Refusal(id=id):
            return bool(id)
    return isinstance(part, Opaque)


def _sealed(item: Raw, place: str) -> str:
    content = read_request(REASONING, item, place).encrypted_content
    if content is None:
        raise InvalidInput(f"{place}.encrypted_content: this type needs it")
    return content


def _our_picture(item: Raw) -> Image | None:
    """The picture that our own server showed as this item; None for a provider's item."""
    try:
        picture = read(_PICTURE, bytes(item))
    except UNREADABLE:
        return None
    if picture.result is None or place_of(picture.id) is None:
        return None
    return Image(source=Inline(data=picture.result, media_type=f"image/{picture.output_format}"))


P = TypeVar("P", Reasoning, ToolCall)


def _without_our_id(part: P) -> P:
    return msgspec.structs.replace(part, id=None) if part.id and place_of(part.id) else part


# --- content --------------------------------------------------------------------------------------------------------


def _parts(content: str | list[IncomingContent], place: str, provider: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(text=content),) if content else ()
    parts: list[Part] = []
    for nth, each in enumerate(content):
        try:
            parts.append(_part(each, provider))
        except ValueError as error:
            raise InvalidInput(f"{place}[{nth}]: {error}") from error
    return tuple(parts)


def _part(content: IncomingContent, provider: str) -> Part:
    """Raises `ValueError`, which does not yet say where."""
    match content:
        case InputText(text=text):
            return Text(text=text)
        case OutputText(text=text, annotations=annotations):
            return Text(text=text, citations=citations_of(annotations))
        case OutputRefusal(refusal=text):
            return Refusal(text=text)
        case InputImage(image_url=url, file_id=id, detail=detail):
            return Image(source=_source("image_url", url, id, provider), detail=detail)
        case InputAudio(input_audio=audio):
            media_type = AUDIO_TYPES.get(audio.format) or f"audio/{audio.format}"
            return Audio(source=Inline(data=audio.data, media_type=media_type))
        case InputVideo(video_url=url):
            return Video(source=_address(url))
        case InputFile(file_data=data, filename=name) if data is not None:
            return File(source=_inline(data, name), name=name)
        case InputFile(file_url=url, file_id=id, filename=name):
            return File(source=_source("file_data, file_url", url, id, provider), name=name)


def _source(field: str, url: str | None, id: str | None, provider: str) -> Source:
    if id is not None:
        return Uploaded(file_id=id, provider=provider)
    if url is None:
        raise ValueError(f"this type needs {field} or file_id")
    return _address(url)


def _address(url: str) -> Source:
    return from_data_url(url) if url.startswith("data:") else Url(url=url)


def _inline(data: str, name: str | None) -> Inline:
    """File data is a data URL; bare base64 is taken too."""
    if data.startswith("data:"):
        return from_data_url(data)
    return Inline(data=from_base64(data), media_type=file_type(name))
