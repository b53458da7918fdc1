"""What the servers that speak the Messages API do differently, as data."""

from __future__ import annotations

from typing import ClassVar, Literal

from multiturn.formats.switching import Modality, Target


class Dialect(Target, frozen=True, kw_only=True):
    """One endpoint's habits; the defaults are those of Anthropic's current models."""

    format: ClassVar[str] = "anthropic"

    provider: str = "anthropic"

    key_variable: str | None = "ANTHROPIC_API_KEY"

    inputs: tuple[Modality, ...] | None = ("image", "file")

    call_ids: str = "[a-zA-Z0-9_-]{1,64}"

    call_prefix: str = "toolu_"

    max_tokens: int = 8192
    """Sent where `Settings.max_output_tokens` is not set, for the API insists on a number."""

    max_tokens_thinking: int = 32768
    """The same where the model is asked to think, for thinking counts too."""

    thinking: Literal["adaptive", "budget"] = "adaptive"
    """How `Settings.reasoning_effort` is asked for: as an effort, the model deciding when it thinks, or, of models
    before Claude 4.6 and of most compatible servers, as a share of `max_tokens`."""

    thinking_display: Literal["summarized", "omitted"] | None = "summarized"
    """Whether such thinking comes back in words; None leaves that to the model."""

    unsigned_thinking: bool = False
    """Wants its own thinking back though it never signs any, as some compatible servers do."""

    schemas: bool = True
    """Takes `output_config.format`; if not, the model is told the schema in words."""

    system_role: bool = False
    """Takes role `system` among the messages, as Claude Opus 4.8 and the Claude 5 models do."""

    cache: bool = True
    """Takes `cache_control` at the top of the request: everything up to the last message is cached for the next."""
