"""What images, recordings, films and files cost: how large they are, by their own bytes, and what rules make of that.

Where only an address or an upload's id is known, sizes are the usual ones: `USUAL_PIXELS`, `USUAL_SECONDS`,
`USUAL_PAGES`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

import msgspec

from multiturn.context.images import ImageRule
from multiturn.headers import picture, wav
from multiturn.media_types import canonical, is_text, kind_of
from multiturn.messages import Audio, File, Image, Inline, Source, Video

USUAL_PIXELS = (1024, 1024)
USUAL_SECONDS = 60.0
USUAL_PAGES = 10
_BYTES_A_SECOND = {"audio": 16_000, "video": 250_000}  # 128 kbit/s and 2 Mbit/s
_BYTES_A_PAGE = 50_000  # of files whose pages nobody has counted


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens of a second of a recording, of a second of a film with its sound, and of a page of a document."""

    audio: float
    video: float
    page: int
    source: tuple[str, ...]
    note: str = ""


def tokens_of(part: Image | Audio | Video | File, image: ImageRule, rates: Rates, text: Callable[[str], int]) -> int:
    """What it costs by these rules. `text` counts words: a recording's transcript where it has no sound, and files of
    text."""
    match part:
        case Image(source=source, detail=detail):
            return image.tokens(*pixels(source), detail)
        case Video(source=source):
            return math.ceil(seconds(source) * rates.video)
        case Audio(source=None, transcript=transcript):
            return text(transcript or "")
        case Audio(source=source):
            return math.ceil(seconds(source) * rates.audio)
        case File(source=source, name=name):
            return text(name or "") + _file(source, image, rates, text)
    raise AssertionError(part)


def _file(source: Source, image: ImageRule, rates: Rates, text: Callable[[str], int]) -> int:
    media_type = canonical(source.media_type or "")
    if kind_of(media_type) == "image":
        return image.tokens(*pixels(source), None)
    if kind_of(media_type) in ("audio", "video"):
        return math.ceil(seconds(source) * (rates.audio if kind_of(media_type) == "audio" else rates.video))
    if isinstance(source, Inline) and is_text(media_type):
        return text(source.data.decode(errors="replace"))
    return pages(source) * rates.page


def pixels(source: Source) -> tuple[int, int]:
    """An image's width and height."""
    shape = picture(source.data) if isinstance(source, Inline) else None
    return (shape.width, shape.height) if shape and shape.width and shape.height else USUAL_PIXELS


def seconds(source: Source | None) -> float:
    """How long a recording or a film is: a WAV's and an MP4's own word, else by its size at a usual bit rate."""
    if not isinstance(source, Inline):
        return USUAL_SECONDS
    if recording := wav(source.data):
        return recording.seconds
    told = _mp4_seconds(source.data)
    return told or len(source.data) / _BYTES_A_SECOND.get(kind_of(canonical(source.media_type)), 16_000)


def _mp4_seconds(data: bytes) -> float:
    """ISO 14496-12, section 8.2.2, the movie header: time scale and duration, of 32 or in version 1 of 64 bits."""
    at = data.find(b"mvhd") if data[4:8] == b"ftyp" else -1
    try:
        if at < 0:
            return 0.0
        scale, length = struct.unpack_from(">IQ" if data[at + 4] else ">II", data, at + (24 if data[at + 4] else 16))
    except (struct.error, IndexError):
        return 0.0
    return length / scale if scale and length < 2**32 - 1 else 0.0


_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})(?!\d)")


def pages(source: Source) -> int:
    """How many pages a document has: a PDF's own word where it is not compressed, else by its size."""
    if not isinstance(source, Inline):
        return USUAL_PAGES
    if source.data.startswith(b"%PDF-"):
        told = max((int(count) for count in _COUNT.findall(source.data)), default=0)
        if found := max(len(_PAGE.findall(source.data)), told):
            return found
    return max(1, math.ceil(len(source.data) / _BYTES_A_PAGE))
