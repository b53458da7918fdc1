"""Bytes as data URLs and back, and the names of audio formats."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from multiturn.messages import Inline

AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
FILE_TYPES = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def data_url(inline: Inline) -> str:
    return f"data:{inline.media_type};base64,{base64.b64encode(inline.data).decode()}"


def from_data_url(url: str) -> Inline:
    """The bytes that a `data:` URL holds (RFC 2397). Raises `ValueError`."""
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("a data URL needs a comma before its data")
    media_type = head[len("data:") :]
    if media_type.endswith(";base64"):
        return Inline(data=from_base64(body), media_type=media_type.removesuffix(";base64") or "text/plain")
    return Inline(data=unquote_to_bytes(body), media_type=media_type or "text/plain")


def from_base64(text: str) -> bytes:
    """Raises `ValueError` for what is not base64; missing padding is supplied."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def file_name(media_type: str) -> str:
    """A name for a file that has none; OpenAI wants one."""
    return "file" + next((suffix for suffix, kind in FILE_TYPES.items() if kind == media_type), "")


def file_type(name: str | None) -> str:
    """The media type that a file's name suggests."""
    return FILE_TYPES.get("." + (name or "").rpartition(".")[2].lower(), "application/octet-stream")


def audio_type(data: bytes) -> str:
    """The media type of a recording, by its first bytes; a reply does not say which format was asked for."""
    if data.startswith(b"RIFF"):
        return "audio/wav"
    if data.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return "audio/mpeg"
    if data.startswith(b"fLaC"):
        return "audio/flac"
    return "audio/ogg" if data.startswith(b"OggS") else "audio/pcm"
