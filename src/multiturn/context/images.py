"""What an image costs by its size, as each provider has published it. The figures are in `rules.json`."""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from multiturn.messages import Detail


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: tuple[str, ...]
    note: str = ""


class Tiles(_Rule, frozen=True, kw_only=True, tag="tiles"):
    """OpenAI until GPT-4.1 and GPT-5.1: so much for the image and so much for each 512 pixel tile, after it is made to
    fit 2048 pixels and its shorter side 768; detail `low` costs the base alone."""

    base: int
    tile: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        if detail == "low":
            return self.base
        width, height = _within(width, height, 2048)
        if min(width, height) > 768:
            scale = 768 / min(width, height)
            width, height = math.floor(width * scale), math.floor(height * scale)
        return self.base + self.tile * _cells(width, height, 512)


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large an image may be at one detail: its longer side in pixels, and its patches."""

    edge: int = 65_535
    patches: int | None = None


class Patches(_Rule, frozen=True, kw_only=True, tag="patches"):
    """OpenAI since then: patches of 32 pixels, times a factor. An image beyond its budget is made smaller. `details`
    says which budget each detail has."""

    factor: float
    budgets: dict[str, Budget]
    details: dict[str, str]

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        budget = self.budgets[self.details[detail or "auto"]]
        width, height = _within(width, height, budget.edge)
        if budget.patches and _cells(width, height, 32) > budget.patches:
            width, height = _shrunk(width, height, budget.patches)
        # in hundredths, for 1.2 is no binary fraction
        return -(-_cells(width, height, 32) * round(self.factor * 100) // 100)


class Fitted(_Rule, frozen=True, kw_only=True, tag="fitted"):
    """Anthropic, and models with patches alone: a token for each patch, after the image is made to fit both the edge
    and the number of tokens."""

    patch: int
    edge: int
    most: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        long, short = max(width, height), min(width, height)
        fits, fails = 1, long + 1
        while fits + 1 < fails:
            middle = (fits + fails) // 2
            if self._takes(middle, _other_side(middle, long, short)):
                fits = middle
            else:
                fails = middle
        return _cells(fits, _other_side(fits, long, short), self.patch)

    def _takes(self, long: int, short: int) -> bool:
        return math.ceil(long / self.patch) * self.patch <= self.edge and _cells(long, short, self.patch) <= self.most


class Grid(_Rule, frozen=True, kw_only=True, tag="grid"):
    """Gemini since 3: as many tokens as a grid of the image's shape has within a budget."""

    budget: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        across, down = math.sqrt(self.budget * width / height), math.sqrt(self.budget * height / width)
        return min(self.budget, max(1, math.floor(across)) * max(1, math.floor(down)))


class Crops(_Rule, frozen=True, kw_only=True, tag="crops"):
    """Gemini until 2.0: one piece up to 384 pixels, else crops of two thirds of the shorter side, and the whole."""

    tile: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        if max(width, height) <= 384:
            return self.tile
        unit = min(768, max(256, math.floor(min(width, height) / 1.5)))
        return self.tile * (_cells(width, height, unit) + 1)


class Blocks(_Rule, frozen=True, kw_only=True, tag="blocks"):
    """xAI: so many tokens for each block of so many pixels, and where there are several, for the whole once more."""

    block: int
    tile: int
    most: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        blocks = min(self.most, max(1, round(width / self.block)) * max(1, round(height / self.block)))
        return self.tile * (blocks + 1 if blocks > 1 else 1)


class Flat(_Rule, frozen=True, kw_only=True, tag="flat"):
    """The same for every image."""

    each: int

    def tokens(self, width: int, height: int, detail: Detail | None) -> int:
        return self.each


ImageRule: TypeAlias = Tiles | Patches | Fitted | Grid | Crops | Blocks | Flat


def _cells(width: int, height: int, size: int) -> int:
    """How many squares cover it."""
    return math.ceil(width / size) * math.ceil(height / size)


def _within(width: int, height: int, edge: int) -> tuple[int, int]:
    scale = min(1.0, edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(width: int, height: int, patches: int) -> tuple[int, int]:
    """The largest size within so many patches, as OpenAI's page reckons it."""
    scale = math.sqrt(32 * 32 * patches / (width * height))
    across, down = width * scale / 32, height * scale / 32
    scale *= min(math.floor(across) / across, math.floor(down) / down)
    return max(1, math.floor(width * scale + 1e-9)), max(1, math.floor(height * scale + 1e-9))


def _other_side(side: int, long: int, short: int) -> int:
    return max(round(side * short / long), 1)
