"""`Window`: how much of a conversation a model is shown, and `room`, how many tokens that may take."""

from __future__ import annotations

import re

import msgspec

from multiturn.context.policies import Policy, Strides
from multiturn.errors import ContextOverflow, InvalidInput
from multiturn.models import catalogue
from multiturn.models.catalogue import ModelInfo
from multiturn.models.providers import known_providers
from multiturn.request import Settings

LARGEST_RESERVE = 0.25
"""The share of a model's context that is kept for its answer at most, where nobody has said how long that may be."""
LARGEST_ANSWER = 0.75
"""The same where `Settings.max_output_tokens` says it."""
USUAL_RESERVE = 0.125
"""The share where nothing is known of the model's answers."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation is kept within what its model can read.

    `policy` decides what is left out (`multiturn.context.policies`). `context_tokens` is how much the model reads and
    writes in one call, as the catalogue has it if not given; where that does not know the model either, nothing is
    left out until a provider refuses a request as too long, and says, or shows, how much it takes. `reserve_tokens` are
    kept for the answer: `Settings.max_output_tokens` or what the catalogue says if not given, but no more than a part
    of the context. A cut goes down to `share` of what is left of the context: the smaller it is, the rarer are cuts.

    Raises `InvalidInput` for figures that leave nothing to say."""

    policy: Policy = Strides()
    context_tokens: int | None = None
    reserve_tokens: int | None = None
    share: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InvalidInput(f"share is {self.share}; it must be above 0 and at most 1")
        if self.context_tokens is not None and self.context_tokens < 1:
            raise InvalidInput(f"context_tokens is {self.context_tokens}; it must be at least 1")
        if self.reserve_tokens is not None and self.reserve_tokens < 0:
            raise InvalidInput(f"reserve_tokens is {self.reserve_tokens}; it must be at least 0")
        if None not in (self.context_tokens, self.reserve_tokens) and self.reserve_tokens >= self.context_tokens:  # type: ignore[operator]
            raise InvalidInput(
                f"reserve_tokens ({self.reserve_tokens:,}) leaves nothing of context_tokens ({self.context_tokens:,})"
            )


class Learned(msgspec.Struct, frozen=True):
    """What a provider has made known by refusing a request: the model's context, where its words name it, and how many
    tokens, as we count, a request may have."""

    context: int | None = None
    most: int | None = None


class Room(msgspec.Struct, frozen=True):
    """What a model holds in one call: `context` tokens, None where nobody knows, of which `reserve` are for the answer;
    and `budget`, how many a request may have."""

    context: int | None = None
    reserve: int = 0
    budget: int | None = None


def room(window: Window, settings: Settings, info: ModelInfo, learned: Learned = Learned()) -> Room:  # noqa: B008
    """What the model of this `info` holds."""
    known = [tokens for tokens in (window.context_tokens or info.context, learned.context) if tokens is not None]
    if not known:
        return Room(budget=learned.most)
    context = min(known)
    if window.reserve_tokens is not None:
        reserve = window.reserve_tokens
    elif settings.max_output_tokens is not None:
        reserve = min(settings.max_output_tokens, int(context * LARGEST_ANSWER))
    elif info.output is not None:
        reserve = min(info.output, int(context * LARGEST_RESERVE))
    else:
        reserve = int(context * USUAL_RESERVE)
    budget = max(0, context - reserve)
    return Room(context, reserve, budget if learned.most is None else min(budget, learned.most))


def known(provider: str, model: str) -> ModelInfo:
    """What the user's own rows or the catalogue say of a model."""
    row = known_providers().get(provider)
    own = row and next((info for info in row.models if info.id == model), None)
    return own or catalogue.find(provider, model)


_LIMITS = re.compile(
    r"maximum context length (?:is|of) (\d[\d,]*)"  # OpenAI, vLLM
    r"|> (\d[\d,]*) maximum"  # Anthropic
    r"|maximum number of (?:input )?tokens allowed \(?(\d[\d,]*)"  # Gemini
    r"|maximum prompt length is (\d[\d,]*)"  # xAI
    r'|"?n_ctx"?\s*[:=]\s*(\d+)'  # llama.cpp
    r"|context (?:size|window|length)(?: of| is|:)? \(?(\d[\d,]*)",
    re.IGNORECASE,
)


def limit_in(error: ContextOverflow) -> int | None:
    """The model's context in tokens, where the provider's words name it."""
    found = _LIMITS.search(f"{error}\n{error.body or ''}")
    return int(next(filter(None, found.groups())).replace(",", "")) if found else None
