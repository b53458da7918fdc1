"""Images, recordings, videos and files: our parts as Gemini's `inlineData` and `fileData`, and back."""

from __future__ import annotations

from multiturn.formats.gemini.wire import Blob, FileData, Part, ReadMedia
from multiturn.formats.media import FILE_TYPES, from_base64, from_data_url
from multiturn.formats.switching import Media, in_words
from multiturn.messages import Audio, File, Image, Inline, Source, Uploaded, Url, Video

_TYPES = {
    **FILE_TYPES,
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".aac": "audio/aac",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
}
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
            return Part(file_data=FileData(url, media_type or _guessed(name) or _guessed(url.partition("?")[0])))
        case Uploaded(file_id=uri, media_type=media_type):
            return Part(file_data=FileData(uri, media_type or _guessed(name)))
    return Part(text=in_words(part))


def _inline(source: Inline, name: str | None) -> Part:
    return Part(inline_data=Blob(source.media_type or _guessed(name) or "application/octet-stream", source.data))


def _guessed(name: str | None) -> str | None:
    """The media type that a name's ending suggests; nothing is sent where it suggests none, for Google knows the type
    of what it holds and looks at what it fetches."""
    return _TYPES.get("." + (name or "").rpartition(".")[2].lower())


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
