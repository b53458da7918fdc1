"""Pictures, recordings, films and files to say: parts from a path, bytes, a URL, a data URL or an open file.

    image("cat.jpg")                    a path, also a `pathlib.Path`
    image(b"\\x89PNG…")                  bytes
    image("https://…/cat.jpg")          an address, which whoever answers fetches, never we
    image("data:image/png;base64,…")    a data URL
    image(open("cat.jpg", "rb"))        whatever reads as bytes, from where it stands to its end

What something is, its bytes say (`multiturn.media_types`). Everything that cannot be used is an `InvalidInput`.
"""

from __future__ import annotations

import os
import re
import reprlib
import stat
from typing import NamedTuple, Protocol, TypeAlias, get_args
from urllib.parse import urlsplit

from multiturn.errors import InvalidInput
from multiturn.formats.media import from_data_url, in_mib
from multiturn.media_types import Kind, by_name, canonical, is_text, kind_of, recognised
from multiturn.messages import Audio, Detail, File, Image, Inline, Url, Video

MAX_BYTES = 64 << 20
"""How much is read if nothing else is said."""


class Readable(Protocol):
    """What can be read as a binary file can."""

    def read(self, size: int, /) -> bytes: ...


Content: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


def image(
    what: Content, *, detail: Detail | None = None, media_type: str | None = None, max_bytes: int = MAX_BYTES
) -> Image:
    """A picture. `detail` is how closely the model looks, where its provider lets one choose; `media_type` is believed
    without a look at the bytes. More than `max_bytes` is refused, of a file before it is read."""
    if detail not in (None, *get_args(Detail)):
        raise InvalidInput(f"detail is {detail!r}; it can be {', '.join(get_args(Detail))}")
    return Image(_source("image", what, media_type, max_bytes), detail)


def audio(
    what: Content, *, transcript: str | None = None, media_type: str | None = None, max_bytes: int = MAX_BYTES
) -> Audio:
    """A recording. `transcript` is what a model reads that cannot listen; otherwise as `image`."""
    return Audio(_source("audio", what, media_type, max_bytes), transcript)


def video(what: Content, *, media_type: str | None = None, max_bytes: int = MAX_BYTES) -> Video:
    """A film, as `image`."""
    return Video(_source("video", what, media_type, max_bytes))


def file(what: Content, *, name: str | None = None, media_type: str | None = None, max_bytes: int = MAX_BYTES) -> File:
    """A document, or anything else, under its own name unless given another; otherwise as `image`."""
    if url := _url(what):
        return File(Url(url, _checked(media_type)), name)
    found = _read(what, max_bytes)
    if name:
        found = found._replace(name=name, media_type=recognised(found.data, name) or found.media_type)
    return File(_inline("file", found, media_type), found.name)


def part_of(path: os.PathLike[str]) -> Image | Audio | Video | File:
    """The part that a file makes by what it is; a `pathlib.Path` that is said becomes this."""
    found = _read(path, MAX_BYTES)
    kind = kind_of(found.media_type or "")
    source = _inline(kind, found, None)
    match kind:
        case "image":
            return Image(source)
        case "audio":
            return Audio(source)
        case "video":
            return Video(source)
    return File(source, found.name)


# --- what it is -----------------------------------------------------------------------------------------------------

_NOUNS: dict[Kind, str] = {"image": "image", "audio": "recording", "video": "video", "file": "file"}


def _source(kind: Kind, what: Content, media_type: str | None, max_bytes: int) -> Url | Inline:
    if url := _url(what):
        return Url(url, _checked(media_type))
    return _inline(kind, _read(what, max_bytes), media_type)


def _inline(kind: Kind, found: _Found, said: str | None) -> Inline:
    media_type = _checked(said) or found.media_type
    if media_type is None and (named := by_name(found.name)) and is_text(named):
        raise InvalidInput(f"{found.shown} is named as text ({named}), but its bytes are no UTF-8; save it as that")
    if kind == "file":
        return Inline(found.data, media_type or "application/octet-stream")
    if media_type is None:
        raise InvalidInput(f"{found.shown}: no {_NOUNS[kind]} that we know; say what it is by media_type=")
    if kind_of(media_type) != kind:
        raise InvalidInput(f"{found.shown} is no {_NOUNS[kind]} but {media_type}; give it to {kind_of(media_type)}()")
    return Inline(found.data, media_type)


def _checked(media_type: str | None) -> str | None:
    if media_type is None:
        return None
    plain = canonical(media_type)
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", plain, re.ASCII):
        raise InvalidInput(f"{media_type!r} is no media type; one is written as in image/png")
    return plain


# --- where it is ----------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """Bytes, how to call them in an error, their file's name, and what they are as far as that can be told."""

    data: bytes
    shown: str
    name: str | None
    media_type: str | None


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 120
_shown = _short.repr


def _url(what: Content) -> str | None:
    """The address that this is, if it is one."""
    if not isinstance(what, str) or not re.match("[a-z][a-z0-9+.-]*://", what, re.IGNORECASE):
        return None
    try:
        url = urlsplit(what)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and not re.search(r"[\s\x00-\x1f]", what)
    except ValueError:  # half an IPv6 address
        valid = False
    if not valid:
        raise InvalidInput(f"{_shown(what)} is no address for media; give an http or https URL, or a path")
    return what


def _read(what: Content, max_bytes: int) -> _Found:
    declared: str | None = None
    match what:
        case str() if what[:5].lower() == "data:":
            shown, name = "the data URL", None
            data, declared = _of_data_url(what)
        case str() | os.PathLike():
            path = os.fsdecode(what)
            shown, name = _shown(path), os.path.basename(path)
            data = _of_path(path, shown, max_bytes)
        case bytes() | bytearray() | memoryview():
            data, name = bytes(what), None
            shown = f"what was given ({len(data)} bytes)"
        case _ if hasattr(what, "read"):
            called = getattr(what, "name", None)
            name = os.path.basename(called) if isinstance(called, str) else None
            shown = _shown(called) if name else "the open file"
            data = _of_open_file(what, shown, max_bytes)
        case _:
            raise InvalidInput(f"{_shown(what)} cannot be shown; give a path, a URL, a data URL, bytes or an open file")
    if not data:
        raise InvalidInput(f"{shown} is empty")
    _check_size(len(data), shown, max_bytes)
    return _Found(data, shown, name, recognised(data, name) or declared)


def _check_size(count: int, shown: str, max_bytes: int) -> None:
    if count > max_bytes:
        raise InvalidInput(
            f"{shown} has {in_mib(count)}, and no more than {in_mib(max_bytes)} are read; make it smaller, give its "
            f"URL, or raise max_bytes="
        )


def _of_data_url(url: str) -> tuple[bytes, str | None]:
    """The bytes, and what they are said to be."""
    try:
        inline = from_data_url(url)
    except ValueError as error:
        raise InvalidInput(f"the data URL cannot be read: {error}") from error
    return inline.data, _checked(inline.media_type)


def _of_path(path: str, shown: str, max_bytes: int) -> bytes:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise InvalidInput(f"{shown} is a folder, not a file")
        if not stat.S_ISREG(found.st_mode):  # to open a pipe may take for ever
            raise InvalidInput(f"{shown} is no regular file; open it, and give the open file")
        _check_size(found.st_size, shown, max_bytes)
        with open(path, "rb") as opened:
            return opened.read(max_bytes + 1)
    except InvalidInput:
        raise
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no file {shown}") from error
    except OSError as error:
        raise InvalidInput(f"{shown} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name with a zero byte in it, or half an emoji
        raise InvalidInput(f"{shown} is no file name: {error}") from error


def _of_open_file(opened: Readable, shown: str, max_bytes: int) -> bytes:
    data = bytearray()
    try:
        while len(data) <= max_bytes and (piece := opened.read(max_bytes + 1 - len(data))):
            if not isinstance(piece, bytes | bytearray):
                raise InvalidInput(f"{shown} reads as {type(piece).__name__}; open it with mode 'rb'")
            data += piece
    except InvalidInput:
        raise
    except (OSError, ValueError) as error:  # closed, or only to be written to
        raise InvalidInput(f"{shown} cannot be read ({error}); open it with mode 'rb'") from error
    return bytes(data)
