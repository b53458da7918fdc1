"""Bytes as data URLs and back, the names that OpenAI has for audio formats, and sizes in words."""

from __future__ import annotations

import base64
import binascii
import math
from urllib.parse import unquote_to_bytes

from multiturn.media_types import SUFFIXES, by_name, canonical, recognised, spellings
from multiturn.messages import Inline

AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
AUDIO_FORMATS = {spelling: name for name, media_type in AUDIO_TYPES.items() for spelling in spellings(media_type)}


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
    plain = canonical(media_type)
    return "file" + next((suffix for suffix, kind in SUFFIXES.items() if kind == plain), "")


def file_type(name: str | None) -> str:
    """The media type that a file's name suggests."""
    return by_name(name) or "application/octet-stream"


def audio_type(data: bytes) -> str:
    """The media type of a recording, by its bytes; a reply does not say which format was asked for."""
    if data.startswith(b"RIFF"):
        return "audio/wav"
    found = recognised(data) or ""
    return found if found.startswith("audio/") else "audio/pcm"


def in_mib(count: int) -> str:
    """So many bytes in words, rounded up: `8.1 MiB`."""
    return f"{math.ceil(count / (1 << 20) * 10) / 10:.1f}".removesuffix(".0") + " MiB"
