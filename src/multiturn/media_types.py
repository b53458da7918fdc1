"""Media types: what the bytes of a file say it is, what its name suggests, how a type is spelt.

Bytes come first. A name decides only among what looks alike (texts, old office files, a recording in a film's
container), and where the bytes say nothing.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["image", "audio", "video", "file"]

SUFFIXES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".tif": "image/tiff",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".aiff": "audio/aiff",
    ".weba": "audio/webm",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
    ".wmv": "video/x-ms-wmv",
    ".flv": "video/x-flv",
    ".3gp": "video/3gpp",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".html": "text/html",
    ".htm": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".py": "text/x-python",
    ".xml": "text/xml",
    ".rtf": "text/rtf",
    ".json": "application/json",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
    ".zip": "application/zip",
}
"""Types by the ending of a name. The first ending of a type is the one that a nameless file gets."""

_SPELLINGS = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/opus": "audio/ogg",
    "video/mov": "video/quicktime",
    "video/avi": "video/x-msvideo",
    "text/x-markdown": "text/markdown",
    "text/md": "text/markdown",
    "application/xml": "text/xml",
    "application/rtf": "text/rtf",
    "application/x-pdf": "application/pdf",
}


def canonical(media_type: str) -> str:
    """The one spelling of a type, without parameters: `audio/wav` for `Audio/X-Wav; codec=1`."""
    plain = media_type.partition(";")[0].strip().lower()
    return _SPELLINGS.get(plain, plain)


def spellings(media_type: str) -> tuple[str, ...]:
    """Every way in which this type may be written, the right one first."""
    return (media_type, *(odd for odd, right in _SPELLINGS.items() if right == media_type))


def kind_of(media_type: str) -> Kind:
    """Whether this is a picture, a recording, a film or any other file."""
    match media_type.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
    return "file"


def is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in ("application/json", "image/svg+xml")


def by_name(name: str | None) -> str | None:
    """The type that a name suggests; None if it suggests none."""
    _, dot, ending = (name or "").rpartition(".")
    return SUFFIXES.get(dot + ending.lower())


def recognised(data: bytes, name: str | None = None) -> str | None:
    """What these bytes are, and among what looks alike, what the name says; None for what is not known. A name that
    speaks of a text is not believed where the bytes are none: every provider reads text as UTF-8."""
    found, named = _by_content(data), by_name(name)
    if named is None or (found is None and is_text(named)):
        return found
    return named if found is None or _looks_like(named, found) else found


# --- by content -----------------------------------------------------------------------------------------------------

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "text/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),  # office files until 2003
)
_ALIKE = {
    "application/zip": (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub"),
    "application/x-ole-storage": (".doc", ".xls", ".ppt"),
    "video/mp4": (".m4a",),
    "video/webm": (".weba",),
}
"""What bytes may look like that are of these types."""


def _looks_like(media_type: str, found: str) -> bool:
    if found in ("text/plain", "text/xml"):
        return is_text(media_type)
    return any(SUFFIXES[suffix] == media_type for suffix in _ALIKE.get(found, ()))


def _by_content(data: bytes) -> str | None:
    for start, media_type in _STARTS:
        if data.startswith(start):
            return media_type
    for read in (_riff, _iso, _matroska, _ogg, _aiff, _zip, _bmp, _mpeg_audio, _text):
        if found := read(data):
            return found
    return None


def _riff(data: bytes) -> str | None:
    kinds = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
    return kinds.get(data[8:12]) if data[:4] == b"RIFF" else None


def _aiff(data: bytes) -> str | None:
    return "audio/aiff" if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC") else None


_PICTURES = {
    "image/avif": (b"avif", b"avis"),
    "image/heic": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"),
    "image/heif": (b"mif1", b"msf1"),
}


def _iso(data: bytes) -> str | None:
    """ISO 14496-12, the container of MP4 and its kin: the first box lists brands, the main one first."""
    if data[4:8] in (b"moov", b"mdat", b"wide") and not data[0]:  # QuickTime before there were brands
        return "video/quicktime"
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    for media_type, theirs in _PICTURES.items():
        if not set(theirs).isdisjoint(brands):
            return media_type
    if brands[0] in (b"M4A ", b"M4B "):
        return "audio/mp4"
    if brands[0] == b"qt  ":
        return "video/quicktime"
    if brands[0].startswith(b"3g"):
        return "video/3gpp"
    tracks = set(re.findall(rb"hdlr.{8}(vide|soun)", data, re.DOTALL))
    return "audio/mp4" if tracks == {b"soun"} else "video/mp4"


def _matroska(data: bytes) -> str | None:
    """RFC 9559: an EBML header that names the type of document, then tracks, whose codecs begin with V or A."""
    if not data.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    tracks = set(re.findall(rb"\x86[\x82-\xbf]([VA])_", data[:65536]))
    container = "webm" if b"webm" in data[:64] else "x-matroska"
    return f"audio/{container}" if tracks == {b"A"} else f"video/{container}"


def _ogg(data: bytes) -> str | None:
    if not data.startswith(b"OggS"):
        return None
    return "video/ogg" if b"\x80theora" in data[:512] else "audio/ogg"


_OFFICE = {b"word/document": ".docx", b"xl/workbook": ".xlsx", b"ppt/presentation": ".pptx"}


def _zip(data: bytes) -> str | None:
    """Office files are ZIP archives: OpenDocument and EPUB say in their first file what they are, Microsoft's are told
    by the names of their files, which stand uncompressed."""
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    if data[30:38] == b"mimetype":
        said = data[38 : 38 + min(int.from_bytes(data[18:22], "little"), 100)]
        if re.fullmatch(rb"application/[\w.+-]+", said):
            return canonical(said.decode())
    if b"[Content_Types].xml" in data:
        places = {data.find(name): suffix for name, suffix in _OFFICE.items() if name in data}
        if places:
            return SUFFIXES[places[min(places)]]  # a later one may be embedded in the first
    return "application/zip"


def _bmp(data: bytes) -> str | None:
    """Two letters are too few to go by, so the reserved bytes and the size of the header count too."""
    header = int.from_bytes(data[14:18], "little")
    is_bmp = data[:2] == b"BM" and data[6:10] == bytes(4) and header in (12, 40, 52, 56, 64, 108, 124)
    return "image/bmp" if is_bmp else None


def _mpeg_audio(data: bytes) -> str | None:
    """ISO 11172-3: a frame begins with eleven bits set, then version, layer, bit rate and sample rate. AAC's frames
    (ADTS, ISO 13818-7) have twelve, and a layer of 0."""
    if data[:3] == b"ID3" and data[3:4] <= b"\4":
        return "audio/mpeg"
    if len(data) < 3 or data[0] != 0xFF:
        return None
    if data[1] & 0xF6 == 0xF0:
        return "audio/aac"
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    is_frame = data[1] & 0xE0 == 0xE0 and version != 1 and layer == 1 and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3
    return "audio/mpeg" if is_frame else None


_CONTROLS = re.compile(rb"[\0-\6\x0e-\x1a\x1c-\x1f]")  # what no text has, though it were UTF-8


def _text(data: bytes) -> str | None:
    if _CONTROLS.search(data):
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in start:
        return "image/svg+xml"
    return "text/xml" if start.startswith(b"<?xml") else "text/plain"
