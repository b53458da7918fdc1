"""Images, recordings, videos and files: our parts as Gemini's `inlineData` and `fileData`, and back."""

from __future__ import annotations

from typing import TypeAlias

from multiturn.formats.gemini.wire import Blob, FileData, Part, ReadMedia
from multiturn.formats.media import from_base64, from_data_url
from multiturn.formats.switching import in_words
from multiturn.media_types import by_name
from multiturn.messages import Audio, File, Image, Inline, Source, Uploaded, Url, Video

Media: TypeAlias = Image | Audio | Video | File
_UPLOADS = "https://generativelanguage.googleapis.com/"  # where files that Google holds are


def media_part(part: Media) -> Part:
    """The part that shows this; its words where there is nothing to show, as with a recording of which only the
    transcript is left."""
    source = part.source
    name = part.name if isinstance(part, File) else None
    match source:
        case Inline():
            return _inline(source, name)
        case Url(url=url) if url.startswith("data:"):
            try:
                return _inline(from_data_url(url), name)
            except ValueError:
                return Part(text=in_words(part))
        case Url(url=url, media_type=media_type):
            return Part(file_data=FileData(url, media_type or by_name(name) or by_name(url.partition("?")[0])))
        case Uploaded(file_id=uri, media_type=media_type):
            return Part(file_data=FileData(uri, media_type or by_name(name)))
    return Part(text=in_words(part))


def _inline(source: Inline, name: str | None) -> Part:
    return Part(inline_data=Blob(source.media_type or by_name(name) or "application/octet-stream", source.data))


# --- and back -------------------------------------------------------------------------------------------------------


def media_of(read: ReadMedia, provider: str) -> Media | None:
    """What a part shows; None for what shows nothing, or is not base64. `provider` is who holds uploaded files."""
    if (blob := read.inline_data) is not None:
        try:
            # Google writes the usual alphabet, its SDKs the URL-safe one (RFC 4648 section 5)
            data = from_base64((blob.data or "").translate(_USUAL))
        except ValueError:
            return None
        return _of_type(Inline(data=data, media_type=blob.mime_type or "application/octet-stream"))
    if read.file_data is not None and (uri := read.file_data.file_uri):
        media_type = read.file_data.mime_type
        held = uri.startswith(_UPLOADS)
        return _of_type(Uploaded(uri, provider, media_type) if held else Url(uri, media_type))
    return None


_USUAL = str.maketrans("-_", "+/")


def _of_type(source: Source) -> Media:
    match (source.media_type or "").partition("/")[0]:
        case "image":
            return Image(source=source)
        case "audio":
            return Audio(source=source)
        case "video":
            return Video(source=source)
    return File(source=source)
