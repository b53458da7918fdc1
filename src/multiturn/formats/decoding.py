"""JSON from elsewhere, read with patience."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE = (ValueError, msgspec.DecodeError)  # what `read` raises


def read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """What `decoder` makes of `data`, also where that is JSON with a flaw that costs nothing: half a surrogate pair
    (a model's emoji cut in two), raw control characters, NaN, a byte order mark. Raises `UNREADABLE`; of these,
    `msgspec.ValidationError` is JSON of another shape."""
    try:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            return decoder.decode(_mended(data))
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _mended(data: bytes) -> bytes:
    value = json.loads(data.decode("utf-8-sig", "replace"), strict=False, parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
