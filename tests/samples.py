"""Small files of every kind that we know, each made the way its specification says, as far as a reader looks."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def riff(kind: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = kind + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(seconds: float = 0.01) -> bytes:
    data = b"\0\0" * int(8000 * seconds)
    return riff(b"WAVE", (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)), (b"data", data))


def box(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data


def iso(brand: bytes, *compatible: bytes, tracks: tuple[bytes, ...] = ()) -> bytes:
    """A file of MP4's family. `tracks` are the kinds of its tracks, `vide` and `soun`."""
    handlers = (box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + kind + bytes(13)) + box(b"minf"))) for kind in tracks)
    start = box(b"ftyp", brand + bytes(4) + b"".join(compatible))
    return start + box(b"mdat", b"\x21\x10\x05") + box(b"moov", b"".join(handlers))


def matroska(kind: bytes, *codecs: bytes) -> bytes:
    def element(id: bytes, data: bytes) -> bytes:
        return id + bytes([0x80 | len(data)]) + data

    tracks = b"".join(element(b"\xae", element(b"\xd7", b"\1") + element(b"\x86", codec)) for codec in codecs)
    return element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", kind)) + element(b"\x18\x53\x80\x67", tracks)


def zipped(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def office(main: str, *embedded: str) -> bytes:
    """A document of Microsoft Office whose main file is this, with other documents inside of it, uncompressed."""
    inner = {f"word/embeddings/{n}.bin": office(each) for n, each in enumerate(embedded)}
    files = {"[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<Relationships/>", main: b"<x/>", **inner}
    return zipped(files, compression=zipfile.ZIP_STORED)


def open_document(kind: str) -> bytes:
    """OpenDocument, part 2, section 3.3: the first file is `mimetype`, uncompressed."""
    return zipped({"mimetype": kind.encode(), "content.xml": b"<x/>"}, compression=zipfile.ZIP_STORED)


_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz
_BMP_HEADER = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)

SAMPLES: dict[str, tuple[bytes, ...]] = {
    "image/png": (png(),),
    "image/jpeg": (
        b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9",
        b"\xff\xd8\xff\xe1\0\x08Exif\0\0\xff\xd9",
    ),
    "image/gif": (b"GIF89a\3\0\2\0\0\0\0;", b"GIF87a\3\0\2\0\0\0\0;"),
    "image/webp": (riff(b"WEBP", (b"VP8L", b"\x2f" + bytes(5))),),
    "image/avif": (iso(b"avif", b"mif1", b"miaf"), iso(b"mif1", b"avif", b"miaf"), iso(b"avis", b"msf1")),
    "image/heic": (iso(b"heic", b"mif1"), iso(b"mif1", b"heic"), iso(b"hevc", b"msf1")),
    "image/heif": (iso(b"mif1", b"miaf"),),
    "image/bmp": (b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + _BMP_HEADER + bytes(4),),
    "image/tiff": (b"II*\0\x08\0\0\0\0\0", b"MM\0*\0\0\0\x08\0\0"),
    "image/svg+xml": (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a cat -->\n<svg width='1'/>",
        b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x'>\n<svg/>",
    ),
    "audio/wav": (wav(),),
    "audio/mpeg": (_FRAME * 2, b"ID3\x04\0\0\0\0\0\0" + _FRAME, b"\xff\xf3\x48\xc4" + bytes(200)),
    "audio/aac": (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9), b"\xff\xf9\x50\x80\x02\x1f\xfc"),
    "audio/flac": (b"fLaC\x80\0\0\x22" + bytes(34),),
    "audio/ogg": (
        b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\1\2",
        b"OggS\0\x02" + bytes(20) + b"\x01\x1e\1vorbis",
    ),
    "audio/aiff": (b"FORM\0\0\0\x04AIFF", b"FORM\0\0\0\x04AIFC"),
    "audio/mp4": (iso(b"M4A ", b"mp42", tracks=(b"soun",)), iso(b"isom", b"mp42", tracks=(b"soun",))),
    "audio/webm": (matroska(b"webm", b"A_OPUS"),),
    "audio/x-matroska": (matroska(b"matroska", b"A_FLAC"),),
    "video/mp4": (
        iso(b"isom", b"avc1", tracks=(b"vide", b"soun")),
        iso(b"mp42", tracks=(b"soun", b"vide")),
        iso(b"iso5", b"dash"),  # a fragment, with no tracks to be seen
    ),
    "video/quicktime": (iso(b"qt  ", tracks=(b"vide",)), box(b"moov", box(b"mvhd")), box(b"wide") + box(b"mdat")),
    "video/3gpp": (iso(b"3gp4", tracks=(b"vide",)),),
    "video/webm": (matroska(b"webm", b"V_VP9", b"A_OPUS"), matroska(b"webm")),
    "video/x-matroska": (matroska(b"matroska", b"A_AAC", b"V_MPEG4/ISO/AVC"),),
    "video/x-msvideo": (riff(b"AVI ", (b"LIST", b"hdrl")),),
    "video/mpeg": (b"\0\0\x01\xba\x44" + bytes(9), b"\0\0\x01\xb3\x14\0\xf0"),
    "video/ogg": (b"OggS\0\x02" + bytes(20) + b"\x01\x2a\x80theora\3\2\1",),
    "video/x-flv": (b"FLV\x01\x05\0\0\0\x09",),
    "video/x-ms-wmv": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),),
    "application/pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n%%EOF\n",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (
        office("word/document.xml"),
        office("word/document.xml", "xl/workbook.xml"),  # with a table of figures in it
    ),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (office("xl/workbook.xml"),),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (office("ppt/presentation.xml"),),
    "application/vnd.oasis.opendocument.text": (open_document("application/vnd.oasis.opendocument.text"),),
    "application/epub+zip": (open_document("application/epub+zip"),),
    "application/zip": (zipped({"a.txt": b"a"}), zipped({}), zipped({"[Content_Types].xml": b""})),
    "application/x-ole-storage": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(8),),
    "text/rtf": (b"{\\rtf1\\ansi hi}",),
    "text/html": (b"<!DOCTYPE html><p>hi", b"\n<HTML><svg/></HTML>"),
    "text/xml": (b"<?xml version='1.0'?><a/>",),
    "text/plain": (b"hi\n", "\ufeffgrüße\r\n".encode(), b"# A page", b"a,b\n1,2\n", b'{"a": 1}', b"BMW and ID3 tags"),
}
"""What each type looks like, in all its ways."""
