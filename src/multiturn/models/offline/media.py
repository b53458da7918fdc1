"""Images, recordings, films and files: told by what their bytes say of themselves."""

from __future__ import annotations

import re

from multiturn.headers import picture, wav
from multiturn.messages import Audio, File, Image, Inline, Uploaded, Url, Video
from multiturn.models.offline.dialogue import Medium, Question
from multiturn.models.offline.english import capitalised, counted, cut, is_question, unpunctuated

_NOUNS = {
    Image: r"images?|pictures?|photos?|screenshots?|drawings?|photographs?|pics?",
    Audio: r"audios?|recordings?|sounds?|clips?|voice",
    Video: r"videos?|films?|movies?|clips?",
    File: r"files?|documents?|pdfs?|attachments?|texts?",
}
_NAMES = {Image: "image", Audio: "recording", Video: "video", File: "file"}
_ORDER = re.compile(r"\b(first|second|third|last|previous|latest)\b", re.IGNORECASE)
_WIDTH, _HEIGHT = re.compile(r"\bwide|\bwidth", re.I), re.compile(r"\btall\b|\bhigh\b|\bheight", re.I)
_MEASURES = re.compile(
    r"\b(?:wide|width|tall|high|height|size|big|large|dimensions?|resolution|pixels?|bytes|heavy|format|type|long"
    r"|duration|length|seconds|lines?|first line)\b",
    re.IGNORECASE,
)
_IT = re.compile(r"\b(?:it|this|that)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"how many (\w+)", re.IGNORECASE)


def describe_new(question: Question) -> str | None:
    """Describes what came with the message."""
    new = question.dialogue.new_media
    return " ".join(capitalised(f"{describe(medium)}.") for medium in new) if new else None


def follow_up(question: Question) -> str | None:
    """Answers a later question on something that was sent: `how wide is it?`, `what was in the second picture?`."""
    text = unpunctuated(question.text)
    sent = question.dialogue.media
    if not sent or not (
        is_question(question.text) or re.match(r"(?:please )?(?:describe|tell|show|look)\b", text, re.I)
    ):
        return None
    kind = next((kind for kind, nouns in _NOUNS.items() if re.search(rf"\b(?:{nouns})\b", text, re.I)), None)
    alike = [medium for medium in sent if isinstance(medium, kind)] if kind else sent
    if kind is None and not (_IT.search(text) and _MEASURES.search(text)):
        return None
    if not alike:
        return None
    if _HOW_MANY.match(text) and kind and re.fullmatch(_NOUNS[kind], _HOW_MANY.match(text)[1], re.I):  # type: ignore[index]
        return f"You have sent {counted(len(alike), _NAMES[kind])}."
    return _told(_chosen(text, alike), text)


def _chosen(text: str, media: list[Medium]) -> Medium:
    order = _ORDER.search(text)
    word = order[1].lower() if order else "last"
    at = {"first": 0, "second": 1, "third": 2}.get(word, -1)
    return media[at] if at < len(media) else media[-1]


def _told(medium: Medium, text: str) -> str:
    """One measure where one was asked for, else everything."""
    source = medium.source
    shape = picture(source.data) if isinstance(medium, Image) and isinstance(source, Inline) else None
    if shape and _WIDTH.search(text) and not _HEIGHT.search(text):
        return f"It is {shape.width} pixels wide."
    if shape and _HEIGHT.search(text) and not _WIDTH.search(text):
        return f"It is {shape.height} pixels tall."
    return capitalised(f"{describe(medium)}.")


def describe(medium: Medium) -> str:
    """What can be said without opening it: kind, size, length; `a PNG image (image/png), 640x480 pixels, 99 bytes`."""
    noun = _NAMES[type(medium)]
    source = medium.source
    match source:
        case Url():
            return f"{_article(noun)} at {source.url}, which I cannot open: I am offline"
        case Uploaded():
            return f"{_article(noun)} that {source.provider} holds as {source.file_id}, which I cannot open"
        case None:
            return f"{_article(noun)} without its bytes{_transcript(medium)}"
    if isinstance(medium, Image):
        return _image(source)
    if isinstance(medium, Audio):
        return f"{_audio(source)}{_transcript(medium)}"
    if isinstance(medium, File):
        return _file(source, medium.name)
    return f"{_article(noun)} ({source.media_type}), {counted(len(source.data), 'byte')}"


def _image(source: Inline) -> str:
    shape = picture(source.data)
    size = counted(len(source.data), "byte")
    if shape is None:
        return f"an image ({source.media_type}) of {size}, whose dimensions I cannot read"
    declared = source.media_type.lower()
    real = f"image/{shape.kind.lower()}"
    type_ = real if declared == real else f"{real}, though declared as {declared}"
    return f"{_article(shape.kind)} image ({type_}), {shape.width}x{shape.height} pixels, {size}"


def _audio(source: Inline) -> str:
    size = counted(len(source.data), "byte")
    recording = wav(source.data)
    if recording is None:
        return f"a recording ({source.media_type}), {size}"
    channels = {1: "mono", 2: "stereo"}.get(recording.channels, f"{recording.channels} channels")
    length = f"{recording.seconds:g} seconds, {recording.rate_hz} Hz, {channels}"
    return f"a WAV recording ({source.media_type}), {length}, {size}"


def _transcript(medium: Medium) -> str:
    return f", saying “{medium.transcript}”" if isinstance(medium, Audio) and medium.transcript else ""


def _file(source: Inline, name: str | None) -> str:
    named = f"a file named {name}" if name else "a file"
    told = [f"{named} ({source.media_type})", counted(len(source.data), "byte")]
    lines = text_lines(source)
    if lines:
        told.append(counted(len(lines), "line"))
        told.append(f"the first being “{cut(lines[0].strip(), 120)}”")
    shape = picture(source.data)
    if shape:
        told.append(f"{_article(shape.kind)} image of {shape.width}x{shape.height} pixels")
    return ", ".join(told)


def text_lines(source: Inline) -> list[str]:
    """The lines of a text file; none if the bytes are not text."""
    try:
        text = source.data.decode()
    except UnicodeDecodeError:
        return []
    return [] if "\0" in text else text.splitlines()


def _article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
