"""As a server: a client's messages as ours. Also for whoever holds messages as Anthropic-style dicts.

- Results of tools are a message of role `tool`, before the rest of the message that they came in.
- What a model thought, signed or encrypted, blocks of types that we do not know, and the ids of files belong to
  `provider`; a message that holds any says so by its origin.
- Search results, and documents that may be cited or have a context, are read by Anthropic's models alone. Where
  `native`, they are kept whole for these; otherwise they become text and files, which every model reads.
- Cache markers are not read: caching is the dialect's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic.citations import citations_of
from multiturn.formats.anthropic.readings import call_of
from multiturn.formats.anthropic.wire import (
    INCOMING_BLOCK,
    INCOMING_TYPES,
    REPLY_BLOCK,
    Base64Source,
    ContentSource,
    DocumentSource,
    FileSource,
    ImageBlock,
    ImageSource,
    IncomingBlock,
    IncomingDocument,
    IncomingMessage,
    IncomingToolResult,
    RedactedThinkingBlock,
    SearchResult,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolUseBlock,
    UrlSource,
)
from multiturn.formats.decoding import encode_items, read, read_request
from multiturn.messages import (
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
)

T = TypeVar("T")


class _Kind(msgspec.Struct):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_MESSAGES = msgspec.json.Decoder(list[IncomingMessage])


def decode_messages(
    items: Sequence[Mapping[str, object]], *, provider: str = "anthropic", native: bool = True
) -> tuple[Message, ...]:
    """Our messages for Anthropic-style ones: dicts, or the SDK's own objects among them. `items` is only read. Raises
    `InvalidInput`, whose message begins with the place: `messages[2].content[0].source.data: …`."""
    found = read_request(_MESSAGES, encode_items(items, "messages", mode="json"), "messages")
    return to_messages(found, provider, native)


def to_messages(items: Iterable[IncomingMessage], provider: str, native: bool) -> tuple[Message, ...]:
    return tuple(
        message for n, item in enumerate(items) for message in _messages(item, f"messages[{n}]", provider, native)
    )


def _messages(item: IncomingMessage, place: str, provider: str, native: bool) -> Iterator[Message]:
    parts = list(_parts(item.content, f"{place}.content", provider, native))
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    others = tuple(part for part in parts if not isinstance(part, ToolResult))
    if results:
        yield Message(role="tool", parts=results)
    if others or not results:
        origin = Origin(provider=provider, format="anthropic") if any(map(_is_scoped, others)) else None
        yield Message(role=item.role, parts=others, origin=origin)


def _is_scoped(part: Part) -> bool:
    """Whether it means something to one provider alone, and does not say itself to which."""
    match part:
        case Opaque():
            return True
        case Reasoning(signature=signature, encrypted=encrypted):
            return bool(signature or encrypted)
        case ToolCall(signature=signature):
            return bool(signature)
        case Text(citations=citations):
            return any(citation.id for citation in citations)
    return False


# --- parts ----------------------------------------------------------------------------------------------------------


def _parts(content: str | list[Raw], place: str, provider: str, native: bool) -> Iterator[Part]:
    if isinstance(content, str):
        yield from [Text(content)] if content else []
        return
    for n, raw in enumerate(content):
        data, where = bytes(raw), f"{place}[{n}]"
        kind = read_request(_KIND, data, where).type
        block = read_request(INCOMING_BLOCK, data, where) if kind in INCOMING_TYPES else None
        if block is None or (native and _is_native(block)):
            yield Opaque(provider=provider, data=Raw(data), kind=kind)
        elif isinstance(block, ToolUseBlock):
            yield _call(block, data, where)
        else:
            yield from _known(block, where, provider)


def _is_native(block: IncomingBlock) -> bool:
    match block:
        case IncomingDocument(source=source, context=context, citations=citations):
            cited = citations is not None and citations.enabled
            return isinstance(source, ContentSource) or bool(context or cited)
    return isinstance(block, SearchResult)


def _call(block: ToolUseBlock, data: bytes, where: str) -> ToolCall:
    arguments = bytes(block.input).decode()
    if not arguments.startswith("{"):
        raise InvalidInput(f"{where}.input: expected `object`")
    return call_of(read(REPLY_BLOCK, data), arguments)


def _known(block: IncomingBlock, where: str, provider: str) -> Iterator[Part]:
    match block:
        case TextBlock(text=text, citations=citations) if text:
            yield Text(text, citations_of(citations))
        case ImageBlock(source=source):
            yield Image(_source(source, provider))
        case IncomingDocument():
            yield from _document(block, where, provider)
        case SearchResult(source=address, title=title, content=content):
            yield Text("\n".join([f"[{title}: {address}]", *(each.text for each in content)]))
        case ThinkingBlock(thinking=thinking, signature=signature) if thinking or signature:
            yield Reasoning(thinking, signature=signature or None)
        case RedactedThinkingBlock(data=encrypted):
            yield Reasoning(encrypted=encrypted)
        case IncomingToolResult():
            yield _result(block, f"{where}.content", provider)


def _document(block: IncomingDocument, where: str, provider: str) -> Iterator[Part]:
    if block.context:
        yield Text(block.context)
    if not isinstance(block.source, ContentSource):
        yield File(_source(block.source, provider), block.title)
        return
    parts = list(_parts(block.source.content, f"{where}.source.content", provider, native=False))
    text = "\n\n".join(part.text for part in parts if isinstance(part, Text))
    yield File(Inline(text.encode(), "text/plain"), block.title)
    yield from (part for part in parts if isinstance(part, Image))


def _source(source: ImageSource | DocumentSource, provider: str) -> Url | Inline | Uploaded:
    match source:
        case Base64Source(media_type=media_type, data=data):
            return Inline(data, media_type)
        case TextSource(media_type=media_type, data=text):
            return Inline(text.encode(), media_type)
        case UrlSource(url=url):
            return Url(url)
        case FileSource(file_id=file_id):
            return Uploaded(file_id, provider)


def _result(block: IncomingToolResult, place: str, provider: str) -> ToolResult:
    shown: list[Text | Image | File] = []
    for part in _parts(block.content or "", place, provider, native=False):
        if not isinstance(part, Text | Image | File):
            raise InvalidInput(f"{place}: a tool's result holds text, images, documents and search results")
        shown.append(part)
    return ToolResult(block.tool_use_id, tuple(shown), is_error=bool(block.is_error))
