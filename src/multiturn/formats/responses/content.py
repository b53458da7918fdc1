"""The content of what goes in: our parts as items of its list, or as one string where all is text."""

from __future__ import annotations

from collections.abc import Iterable

from multiturn.formats.media import data_url, file_name
from multiturn.formats.responses.wire import InputContent, InputFile, InputImage, InputText
from multiturn.formats.switching import in_words
from multiturn.messages import Audio, Detail, File, Image, Inline, Part, Refusal, Text, Uploaded, Url, Video


def input_content(parts: Iterable[Part]) -> str | list[InputContent]:
    """These parts as content; what is none of it (calls, results, thinking) is left out."""
    contents = [made for part in parts if (made := _content(part)) is not None]
    texts = [content.text for content in contents if isinstance(content, InputText)]
    return "".join(texts) if len(texts) == len(contents) else contents


def _content(part: Part) -> InputContent | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return InputText(text) if text else None
        case Image(source=source, detail=detail):
            return _image(source, detail or "auto")
        case File(source=source, name=name):
            return _file(source, name)
        case Audio() | Video():
            return InputText(in_words(part))
    return None


def _image(source: Url | Inline | Uploaded, detail: Detail) -> InputImage:
    match source:
        case Url(url=url):
            return InputImage(detail, image_url=url)
        case Inline():
            return InputImage(detail, image_url=data_url(source))
        case Uploaded(file_id=id):
            return InputImage(detail, file_id=id)


def _file(source: Url | Inline | Uploaded, name: str | None) -> InputFile:
    match source:
        case Url(url=url):
            return InputFile(file_url=url)
        case Inline(media_type=media_type):
            return InputFile(file_data=data_url(source), filename=name or file_name(media_type))
        case Uploaded(file_id=id):
            return InputFile(file_id=id)
