"""The content of a message: our parts as items of its list, and back."""

from __future__ import annotations

from collections.abc import Iterable

from multiturn.errors import InvalidInput
from multiturn.formats.media import data_url, file_name, file_type, from_base64, from_data_url
from multiturn.formats.switching import in_words
from multiturn.formats.xai.wire import DETAILS, Proto, chat_pb2, image_pb2
from multiturn.media_types import recognised
from multiturn.messages import (
    Audio,
    Detail,
    File,
    Image,
    Inline,
    Message,
    Part,
    Refusal,
    Source,
    Text,
    Uploaded,
    Url,
    Video,
)

_DETAIL_OF: dict[int, Detail] = {image_pb2.DETAIL_LOW: "low", image_pb2.DETAIL_HIGH: "high"}


def text_content(text: str) -> Proto:
    return chat_pb2.Content(text=text)


def contents_of(message: Message) -> list[Proto]:
    of_model = message.role == "assistant"
    made = (content_of(part, of_model=of_model) for part in message.parts)
    return [content for content in made if content is not None]


def joined(contents: list[Proto]) -> list[Proto]:
    """Text alone as one item, for some models take no more than one ("The model expects a single `text` element per
    message"); the empty text for nothing, for each message must have an item."""
    if all(content.HasField("text") for content in contents):
        return [text_content("".join(content.text for content in contents))]
    return contents


def content_of(part: Part, *, of_model: bool) -> Proto | None:
    """One item of a content list; None for what has its own place in a message or is not carried. `of_model` is what
    a model said."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return text_content(text) if text else None
        case Image() | Audio() | Video() | File():
            return (None if of_model else _shown(part)) or text_content(in_words(part))
    return None


def _shown(part: Image | Audio | Video | File) -> Proto | None:
    match part:
        case Image(source=Uploaded(file_id=id)):
            raise InvalidInput(
                f"xAI cannot name an uploaded image ({id!r}) by its id; give its bytes or its address, or send it as "
                f"a File"
            )
        case Image(source=Url() | Inline() as source, detail=detail):
            address = data_url(source) if isinstance(source, Inline) else source.url
            image = image_pb2.ImageUrlContent(image_url=address, detail=DETAILS[detail])
            return chat_pb2.Content(image_url=image)
        case File(source=source, name=name):
            return chat_pb2.Content(file=_file(source, name))
    return None


def _file(source: Source, name: str | None) -> Proto:
    match source:
        case Uploaded(file_id=id):
            return chat_pb2.FileContent(file_id=id)
        case Url(url=url, media_type=media_type):
            return chat_pb2.FileContent(url=url, filename=name, mime_type=media_type)
        case Inline(data=data, media_type=media_type):
            name = name or file_name(media_type)
            return chat_pb2.FileContent(data=data, filename=name, mime_type=media_type)


# --- as a server ----------------------------------------------------------------------------------------------------


def parts_of(contents: Iterable[Proto], provider: str, place: str) -> tuple[Text | Image | File, ...]:
    """The parts of a content list, without empty texts. Raises `InvalidInput` that names the place."""
    parts = []
    for n, content in enumerate(contents):
        try:
            part = _part(content, provider)
        except ValueError as error:
            raise InvalidInput(f"{place}.content[{n}]: {error}") from error
        if part != Text(""):
            parts.append(part)
    return tuple(parts)


def _part(content: Proto, provider: str) -> Text | Image | File:
    match content.WhichOneof("content"):
        case "text":
            return Text(content.text)
        case "image_url":
            image = content.image_url
            return Image(source=_address(image.image_url), detail=_DETAIL_OF.get(image.detail))
        case "file":
            return File(source=_source(content.file, provider), name=content.file.filename or None)
    raise ValueError("one of text, image_url and file must be set")


def _address(url: str) -> Source:
    """An image by its address, or as bytes: a data URL, or the bare base64 that xAI takes too."""
    if url.startswith("data:"):
        return from_data_url(url)
    if "://" in url:
        return Url(url)
    data = from_base64(url)
    return Inline(data, recognised(data) or "image/jpeg")


def _source(file: Proto, provider: str) -> Source:
    if file.file_id:
        return Uploaded(file.file_id, provider)
    if file.url:
        return Url(file.url, file.mime_type or None)
    if not (file.data or file.filename or file.mime_type):  # an empty file has no data
        raise ValueError("a file needs file_id, data or url")
    return Inline(file.data, file.mime_type or file_type(file.filename))
