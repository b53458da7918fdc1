"""JSON from elsewhere: what providers answer, read with patience, and what clients ask, read with errors that tell the
place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from multiturn.errors import InvalidInput

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


def read_request(
    decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, place: str = "", types: Sequence[str] = ()
) -> T:
    """What `decoder` makes of JSON that a client has sent; `place` is where in the body it stands. `types` are those
    that an item of content may have, to be named where one has another. Raises `InvalidInput`, which begins with the
    place: "messages[0].role: expected `str`, got `int`"."""
    try:
        return read(decoder, bytes(data))
    except msgspec.ValidationError as error:
        raise InvalidInput(_located(str(error), place, types)) from error
    except UNREADABLE as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from error


def _located(problem: str, root: str, types: Sequence[str]) -> str:
    """msgspec's message with the place in front."""
    problem, _, place = problem.partition(" - at `$")
    place = (root + place.removesuffix("`")).lstrip(".")
    value = re.fullmatch(r"Invalid value '(.*)'", problem)
    if value and types and re.search(r"(content|output)\[\d+\]\.type$", place):
        problem = f"{value[1]!r} is not known here; use one of {', '.join(types)}"
    problem = problem[:1].lower() + problem[1:]
    return f"{place}: {problem}" if place else f"the body is not a request: {problem}"


def encode_items(items: Sequence[Any], place: str, **options: Any) -> bytes:
    """A client's items as JSON: dicts and other mappings, or an SDK's own pydantic objects, which are dumped with these
    options. They are only read. Raises `InvalidInput`."""

    def plain(value: Any) -> object:
        if isinstance(value, Mapping):
            return dict(value)
        if hasattr(value, "model_dump"):
            return value.model_dump(exclude_none=True, **options)
        raise TypeError(f"{type(value).__name__} is not JSON")

    try:
        return msgspec.json.encode(list(items), enc_hook=plain)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{place}: {error}") from error
