"""Field names in either spelling: JSON for protocol buffers may say `inlineData` or `inline_data`, and Google's own SDK
mixes both (https://protobuf.dev/programming-guides/json, "Field names")."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

_SNAKE = re.compile(rb'"[a-z]+(?:_[a-z]+)+"\s*:')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_FREE = (
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
    "partMetadata",
)
"""Fields that hold a user's JSON, whose names are left as they are."""


def camel_case(data: bytes) -> bytes:
    """The same JSON with the names of Google's fields in the usual spelling, and everything else byte for byte. Raises
    `msgspec.DecodeError`."""
    return _spelled(data) if _SNAKE.search(data) else data


def _spelled(data: bytes) -> bytes:
    start = data.lstrip()[:1]
    if start == b"[":
        return msgspec.json.encode([Raw(_spelled(bytes(item))) for item in _LIST.decode(data)])
    if start != b"{":
        return data
    fields = {_camel(name): bytes(value) for name, value in _OBJECT.decode(data).items()}
    return msgspec.json.encode(
        {name: Raw(value if name in _FREE else _spelled(value)) for name, value in fields.items()}
    )


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
