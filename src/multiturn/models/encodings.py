"""Bodies that come compressed, though every request asks for them as they are: some servers do not look."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TypeAlias

Take: TypeAlias = Callable[[], bytes | None]
"""What has come of a body; nothing at its end, None where one has to wait."""

_MOST = 1 << 20  # bytes at once: a small piece may hold a thousand times as many
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW = -15  # deflate without the zlib around it, which some servers send by that name


def decoded(take: Take, encoding: str) -> Take:
    """`take`, with the encoding undone that a `Content-Encoding` names; it then raises `zlib.error` for a body that is
    not as it says, and for an encoding that is not known here."""
    encoding = encoding.strip().lower()
    return take if encoding in ("", "identity") else _Inflating(take, encoding).take


class _Inflating:
    def __init__(self, take: Take, encoding: str) -> None:
        self._take = take
        self._encoding = encoding
        self._inflater: zlib._Decompress | None = None
        self._rest = b""  # what has come, and is still compressed
        self._is_full = False  # the inflater may hold more than it was let give

    def take(self) -> bytes | None:
        while True:
            if not self._rest and not self._is_full:
                piece = self._take()
                if not piece:
                    return self._ended() if piece is not None else None
                self._rest = piece
            if data := self._inflate():
                return data

    def _inflate(self) -> bytes:
        if self._inflater is None or self._inflater.eof:  # a gzip file may be several, one after another
            bits = _WINDOW_BITS.get(self._encoding)
            if bits is None:
                raise zlib.error(f"it comes encoded as {self._encoding}, which nobody asked for")
            raw = bits == 15 and self._rest[0] & 0x0F != 8  # RFC 1950, section 2.2: 8 is deflate
            self._inflater = zlib.decompressobj(_RAW if raw else bits)
        data = self._inflater.decompress(self._rest, _MOST)
        self._rest = self._inflater.unconsumed_tail or self._inflater.unused_data
        self._is_full = len(data) == _MOST and not self._inflater.eof
        return data

    def _ended(self) -> bytes:
        if self._inflater is not None and not self._inflater.eof:
            raise zlib.error("the body ends too soon")
        return b""
