"""The content of a message: our parts as items of its list, or as one string where all is text."""

from __future__ import annotations

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.wire import (
    AudioPart,
    Content,
    ContentPart,
    FileData,
    FilePart,
    ImagePart,
    ImageUrl,
    InputAudio,
    TextPart,
    VideoPart,
    VideoUrl,
)
from multiturn.formats.media import AUDIO_FORMATS, data_url, file_name
from multiturn.formats.switching import in_words
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Uploaded,
    Url,
    Video,
)


def contents_of(message: Message, dialect: Dialect) -> list[Content]:
    of_model = message.role == "assistant"
    made = (content_of(part, dialect, of_model=of_model) for part in message.parts)
    return [content for content in made if content is not None]


def joined(contents: list[Content]) -> str | list[Content]:
    texts = [content.text for content in contents if isinstance(content, TextPart)]
    return "".join(texts) if len(texts) == len(contents) else contents


def content_of(part: Part, dialect: Dialect, *, of_model: bool) -> Content | None:
    """One item of a content list; None for what has its own place in a message or is not carried. `of_model` is what
    a model said."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return TextPart(text) if text else None
        case Opaque():
            return part.data
        case Image() | Audio() | Video() | File():
            return _media(part, dialect, of_model=of_model)
    return None


def _media(part: Image | Audio | Video | File, dialect: Dialect, *, of_model: bool) -> ContentPart:
    source = part.source
    shown = None
    if not of_model:
        if isinstance(source, Uploaded):
            return _uploaded(part, source)
        shown = _shown(part, source, dialect) if source is not None else None
    return shown or TextPart(in_words(part))


def _shown(part: Image | Audio | Video | File, source: Url | Inline, dialect: Dialect) -> ContentPart | None:
    match part, source:
        case Image(detail=detail), _:
            return ImagePart(ImageUrl(_address(source), "high" if detail == "original" else detail))
        case Video(), _ if dialect.video:
            return VideoPart(VideoUrl(_address(source)))
        case Audio(), Inline(data=data, media_type=media_type) if media_type in AUDIO_FORMATS:
            return AudioPart(InputAudio(data, AUDIO_FORMATS[media_type]))
        case File(name=name), Inline() as inline:
            return FilePart(FileData(file_data=data_url(inline), filename=name or file_name(inline.media_type)))
    return None


def _address(source: Url | Inline) -> str:
    return source.url if isinstance(source, Url) else data_url(source)


def _uploaded(part: Image | Audio | Video | File, source: Uploaded) -> ContentPart:
    if not isinstance(part, File):
        raise InvalidInput(
            f"chat completions cannot name an uploaded {type(part).__name__.lower()} ({source.file_id!r}) by its id; "
            f"give its bytes, or use a model over the Responses API"
        )
    return FilePart(FileData(file_id=source.file_id))
