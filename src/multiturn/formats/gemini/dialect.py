"""What the endpoints that speak generateContent do differently, as data."""

from __future__ import annotations

from typing import ClassVar

from multiturn.formats.switching import Modality, Target


class Dialect(Target, frozen=True, kw_only=True):
    """One endpoint's habits; the defaults are those of the Gemini API. The patterns are of model names."""

    format: ClassVar[str] = "gemini"

    provider: str = "gemini"

    key_variable: str | None = "GEMINI_API_KEY"

    inputs: tuple[Modality, ...] | None = ("image", "audio", "video", "file")

    tool_names: str = r"[\s\S]*"  # see `calls`, which has its own rule

    call_ids: str = r"[\s\S]{1,256}"

    call_prefix: str = ""

    foreign_calls: bool = True
    """Takes Google's dummy signature on calls that no Gemini model made; without one, Gemini 3 rejects them."""

    media_in_results: bool = True
    """Takes pictures and documents within function responses (Gemini 3); if not, they follow after the responses."""

    thinkers: str = r"(models/)?gemini-([3-9]|\d\d|pro-latest|flash-latest)(?!.*(tts|audio|live)).*"
    """The models that are asked to show their thinking without being told how much to think. Those that do not think
    reject the question."""

    budgeted: str = r"(models/)?gemini-2\.5-.*"
    """The models whose effort is a number of tokens; all others take a level."""
