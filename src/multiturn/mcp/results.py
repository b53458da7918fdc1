"""What a server's tool gave back, as the parts of a tool result.

| it gave | the model reads |
|---|---|
| text | the text; texts that follow one another on lines of their own |
| an image, audio | the same |
| a resource: text | its URI on a line, then the text |
| a resource: bytes | an image, audio, a video or a file, by its media type |
| a link to a resource | a line with its name, URI, media type and description |
| structured content | its JSON, unless there is text: the protocol wants that to say the same |
| `isError` | all this in words, as the result of a call that failed; an image is `[image]` |
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import msgspec
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from multiturn.messages import Audio, File, Image, Inline, Text, Video
from multiturn.tools import ToolFailed
from multiturn.tools.results import ResultPart


def parts_of(result: CallToolResult) -> tuple[ResultPart, ...]:
    """The parts, by the table above; none if the server gave nothing. Raises `ToolFailed` for `isError`, and
    `ValueError` for what should be base64 and is not."""
    parts = _joined(map(_part, result.content))
    if result.structured_content is not None and not any(isinstance(part, Text) for part in parts):
        parts.append(Text(msgspec.json.encode(result.structured_content).decode()))
    if result.is_error:
        raise ToolFailed("\n".join(map(_in_words, parts)))
    return tuple(parts)


def _part(block: ContentBlock) -> ResultPart:
    match block:
        case TextContent():
            return Text(block.text)
        case ImageContent():
            return Image(Inline(base64.b64decode(block.data, validate=True), block.mime_type))
        case AudioContent():
            return Audio(Inline(base64.b64decode(block.data, validate=True), block.mime_type))
        case ResourceLink():
            kind = f" ({block.mime_type})" if block.mime_type else ""
            about = f": {block.description}" if block.description else ""
            return Text(f"{block.title or block.name} <{block.uri}>{kind}{about}")
    match block.resource:
        case TextResourceContents() as resource:
            return Text(f"{resource.uri}\n{resource.text}")
        case BlobResourceContents() as resource:
            return _of_bytes(resource)


def _of_bytes(resource: BlobResourceContents) -> ResultPart:
    media_type = resource.mime_type or "application/octet-stream"
    source = Inline(base64.b64decode(resource.blob, validate=True), media_type)
    match media_type.partition("/")[0]:
        case "image":
            return Image(source)
        case "audio":
            return Audio(source)
        case "video":
            return Video(source)
    return File(source, name=resource.uri.rstrip("/").rpartition("/")[2] or None)


def _joined(parts: Iterable[ResultPart]) -> list[ResultPart]:
    """Texts in a row as one, since providers differ in what they put between them."""
    made: list[ResultPart] = []
    for part in parts:
        if isinstance(part, Text) and made and isinstance(last := made[-1], Text):
            made[-1] = Text(f"{last.text}\n{part.text}")
        else:
            made.append(part)
    return made


def _in_words(part: ResultPart) -> str:
    return part.text if isinstance(part, Text) else f"[{type(part).__name__.lower()}]"
