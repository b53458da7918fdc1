"""What is known of well-known models: how much they hold, what they read, what they cost.

The figures are in `catalogue.json` beside this file, each provider's with the page they come from and the day they
were looked up; docs/reference/catalogue.md says how to mend them. A model that is not there is not refused: `find`
always answers, and what is not known is None.
"""

from __future__ import annotations

import datetime
import functools
import re
from pathlib import Path
from typing import Annotated

import msgspec

from multiturn.formats.switching import Modality
from multiturn.messages import Usage

_Dollars = Annotated[float, msgspec.Meta(ge=0)]
_Tokens = Annotated[int, msgspec.Meta(gt=0)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens. Without a price of their own, `cached` tokens and those of a `cache_write` cost
    what other input does. It holds for requests with more than `above` tokens of input, from the day `since` on."""

    input: _Dollars
    output: _Dollars
    cached: _Dollars | None = None
    cache_write: _Dollars | None = None
    above: int = 0
    since: datetime.date | None = None

    def holds(self, input_tokens: int, on: datetime.date) -> bool:
        return (not self.above or input_tokens > self.above) and (self.since is None or self.since <= on)

    def cost_usd(self, usage: Usage) -> float:
        """What these tokens cost, one model call's."""
        fresh = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        inputs = fresh * self.input + usage.cached_tokens * cached + usage.cache_write_tokens * written
        return (inputs + usage.output_tokens * self.output) / 1e6


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. `id` is its name in the catalogue, empty where it has none; `context` how many tokens a request and
    its answer may have together, `output` how many the answer alone; `inputs` what it reads beside text. None is
    unknown, and so are no `prices`."""

    id: str = ""
    context: _Tokens | None = None
    output: _Tokens | None = None
    inputs: tuple[Modality, ...] | None = None
    prices: tuple[Price, ...] = ()

    def price(self, input_tokens: int = 0, on: datetime.date | None = None) -> Price | None:
        """The price of a request with so much input on that day, today for None: the last that holds; None if no
        price is known."""
        day = on or datetime.date.today()
        return next((price for price in reversed(self.prices) if price.holds(input_tokens, day)), None)

    def cost_usd(self, usage: Usage, on: datetime.date | None = None) -> float | None:
        """What one model call cost: what its provider said, else what its tokens cost by the price of that day; None
        where none is known. Recordings count as text, though some models charge more for them."""
        if usage.cost_usd is not None:
            return usage.cost_usd
        price = self.price(usage.input_tokens, on)
        return None if price is None else price.cost_usd(usage)


class _Shelf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider's models. `source` is the page and `checked` the day; `note` what the figures leave out. `vendors` are
    whose models it has beside its own, by the word before the slash: what those hold and read is known, what they cost
    here is not."""

    source: str
    checked: datetime.date
    models: dict[str, ModelInfo] = {}
    vendors: dict[str, str] = {}
    note: str | None = None


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `families` are open models, and what each of a family reads, wherever it runs."""

    date: datetime.date
    source: str
    providers: dict[str, _Shelf]
    families: dict[str, tuple[Modality, ...]]


_decode = msgspec.json.Decoder(_Catalogue).decode  # made here: see `multiturn.context.rules`


def find(provider: str, model: str) -> ModelInfo:
    """What is known of a provider's model; everything None and empty if nothing is.

    A name is looked for as it is, then without the date at its end, then as another vendor's model, as OpenRouter's
    `anthropic/claude-opus-5`. An open model that is not listed is known by its family, of which only what it reads is
    told: how much of its context it has is for whoever runs it to say."""
    shelf = load().providers.get(provider)
    found = (_by_name(shelf, model) or _of_vendor(shelf, model)) if shelf else None
    return found or _of_family(model) or ModelInfo()


def listed(provider: str) -> tuple[ModelInfo, ...]:
    """The models that the catalogue has of a provider, in its order."""
    shelf = load().providers.get(provider)
    return () if shelf is None else tuple(_named(id, info) for id, info in shelf.models.items())


def prepare() -> None:
    """Read all of it now: for who serves, lest a request should wait for that."""
    _families()


@functools.cache
def load() -> _Catalogue:
    """The catalogue, read once."""
    return _decode(Path(__file__).with_name("catalogue.json").read_bytes())


# --- by name --------------------------------------------------------------------------------------------------------

_DATE = re.compile(r"[-@](\d{4}-\d\d-\d\d|\d{8}|\d{4}|\d{3}|latest)$")


def _by_name(shelf: _Shelf, model: str) -> ModelInfo | None:
    id = model if model in shelf.models else _DATE.sub("", model)
    return _named(id, shelf.models[id]) if id in shelf.models else None


def _named(id: str, info: ModelInfo) -> ModelInfo:
    return msgspec.structs.replace(info, id=id)


def _of_vendor(shelf: _Shelf, model: str) -> ModelInfo | None:
    """Another vendor's model, without a price. A tag such as `:free` says nothing of the model; dots in a name may be
    hyphens at home."""
    vendor, _, name = model.partition(":")[0].rpartition("/")
    home = load().providers.get(shelf.vendors.get(vendor, ""))
    found = home and (_by_name(home, name) or _by_name(home, name.replace(".", "-")))
    return msgspec.structs.replace(found, prices=()) if found else None


# --- by family ------------------------------------------------------------------------------------------------------

_PIECE = re.compile(r"\d+(?:\.\d+)*|[a-z]+")
_SENSES = {"vision", "vl", "v", "visual", "omni", "audio", "voice", "video", "multimodal", "mm", "image", "ocr"}
"""Words in a name which say that the model reads more than others of its family."""


def _of_family(model: str) -> ModelInfo | None:
    pieces = _pieces(model)
    for length in range(len(pieces), 0, -1):
        inputs = _families().get(pieces[:length])
        if inputs is not None:
            return None if _SENSES.intersection(pieces[length:]) else ModelInfo(inputs=inputs)
    return None


@functools.cache
def _families() -> dict[tuple[str, ...], tuple[Modality, ...]]:
    return {_pieces(family): inputs for family, inputs in load().families.items()}


def _pieces(name: str) -> tuple[str, ...]:
    """The words and numbers of an open model's name, the same however it is written: `qwen3:4b` and `Qwen/Qwen3-4B`;
    `llama3.3:70b`, `meta-llama/Llama-3.3-70B` and `accounts/fireworks/models/llama-v3p3-70b`."""
    last = re.sub(r"(\d)p(\d)", r"\1.\2", name.lower().rpartition("/")[2])
    return tuple(_PIECE.findall(re.sub(r"(?<![a-z])v(?=\d)", "", last)))
