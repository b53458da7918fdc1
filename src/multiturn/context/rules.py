"""How each model's tokens are counted: the table `rules.json`, and what of it holds for one model.

The table's rows are read from the top; the first that names the model and says something settles that. `docs/howto/
count.md` says how to mend it.
"""

from __future__ import annotations

import datetime
import functools
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from multiturn.context.encodings import Encoding
from multiturn.context.images import ImageRule
from multiturn.context.media import Rates


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens of a text: those of an encoding, times what this model takes for one of these: of Latin letters, of
    Chinese, Japanese and Korean, and of other scripts. `error` is how far off that may be, as a share of the right
    number; none is exact."""

    encoding: Encoding
    latin: float = 1.0
    cjk: float = 1.0
    other: float = 1.0
    error: float = 0.0
    source: tuple[str, ...]
    note: str = ""


class Wrapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens around texts. Of every message (`message`), of the instructions (`instructions`), of a speaker's name
    (`name`), of what primes the answer (`reply`), of the whole request (`request`); of a tool call that stands alone
    (`call`) or with others (`parallel`), of a tool's result (`result`), of an image beside its own (`image`).

    Of tools: `tools` for there being any, less `merged` where there are instructions too, and `tool` for each, written
    in a `style`. `reasoning` says for how long an answer's thinking counts in later requests: never, until the user
    speaks again, or always."""

    message: int
    instructions: int
    reply: int
    name: int = 1
    request: int = 0
    call: int
    parallel: int
    result: int
    image: int = 0
    tools: int = 0
    merged: int = 0
    tool: int = 0
    style: Literal["typescript", "typescript joined", "json"] = "json"
    reasoning: Literal["never", "turn", "always"] = "never"
    source: tuple[str, ...]
    note: str = ""


class ToolPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider says of its own to a model that has tools: where it may call one, and where it must."""

    auto: int = 0
    forced: int = 0


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All that holds for one model."""

    text: Texts
    wrapping: Wrapping
    image: ImageRule
    media: Rates
    tool_prompt: ToolPrompt = ToolPrompt()


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models` are patterns of `provider:model`, in small letters."""

    models: tuple[str, ...]
    text: str | None = None
    wrapping: str | None = None
    image: str | None = None
    media: str | None = None
    tool_prompt: ToolPrompt | None = None


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: datetime.date
    texts: dict[str, Texts]
    wrappings: dict[str, Wrapping]
    images: dict[str, ImageRule]
    media: dict[str, Rates]
    tool_prompts: str
    models: tuple[_Row, ...]


_decode = msgspec.json.Decoder(_Table).decode  # made here, for msgspec crashes where several threads make it at once


@functools.lru_cache(maxsize=256)
def rules_for(provider: str, model: str) -> Rules:
    """What holds for a provider's model; the usual where nothing is known of it."""
    table, name = load(), f"{provider}:{model}".lower()
    rows = [row for row in table.models if any(fnmatchcase(name, pattern) for pattern in row.models)]

    def first(field: str) -> str:
        return next(str(value) for row in rows if (value := getattr(row, field)) is not None)

    return Rules(
        text=table.texts[first("text")],
        wrapping=table.wrappings[first("wrapping")],
        image=table.images[first("image")],
        media=table.media[first("media")],
        tool_prompt=next((row.tool_prompt for row in rows if row.tool_prompt), ToolPrompt()),
    )


@functools.cache
def load() -> _Table:
    """The table, read once."""
    return _decode(Path(__file__).with_name("rules.json").read_bytes())
