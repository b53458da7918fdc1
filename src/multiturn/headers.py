"""The first bytes of images and recordings: what they are and how large, without decoding them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import msgspec


class Picture(msgspec.Struct, frozen=True):
    kind: str
    width: int
    height: int


class Recording(msgspec.Struct, frozen=True):
    seconds: float
    rate_hz: int
    channels: int


def picture(data: bytes) -> Picture | None:
    """The kind and the size in pixels of a PNG, JPEG, GIF or WebP; None for anything else, and for one cut off before
    its size."""
    for read in _READERS:
        try:
            found = read(data)
        except (struct.error, IndexError):
            continue
        if found:
            return found
    return None


def _png(data: bytes) -> Picture | None:
    """PNG specification, section 5.6: IHDR comes first."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    return Picture("PNG", *struct.unpack_from(">II", data, 16))


def _gif(data: bytes) -> Picture | None:
    """GIF89a specification, section 18: the logical screen."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        return None
    return Picture("GIF", *struct.unpack_from("<HH", data, 6))


def _jpeg(data: bytes) -> Picture | None:
    """ITU T.81, annex B: segments up to a start of frame (SOF0–SOF15 without DHT, JPG and DAC)."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Picture("JPEG", width, height)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> Picture | None:
    """RFC 9649, section 2: the simple lossy, the simple lossless and the extended layout."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    layout = data[12:16]
    if layout == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Picture("WebP", width & 0x3FFF, height & 0x3FFF)
    if layout == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Picture("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if layout == b"VP8X" and len(data) >= 30:
        return Picture("WebP", *(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)))
    return None


_READERS: tuple[Callable[[bytes], Picture | None], ...] = (_png, _jpeg, _gif, _webp)


def wav(data: bytes) -> Recording | None:
    """The length of a WAV recording; None for anything else."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    chunks = dict(_riff_chunks(data))
    if b"fmt " not in chunks or b"data" not in chunks:
        return None
    try:
        _, channels, rate, bytes_per_s = struct.unpack_from("<HHII", data, chunks[b"fmt "][0])
    except struct.error:
        return None
    start, size = chunks[b"data"]
    size = min(size, len(data) - start)  # a streamed header may say 0xFFFFFFFF
    return Recording(size / bytes_per_s if bytes_per_s else 0.0, rate, channels)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Each chunk's name, start and size."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], (at + 8, size)
        at += 8 + size + size % 2
