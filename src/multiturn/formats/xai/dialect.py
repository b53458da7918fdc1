"""xAI over gRPC, as a target."""

from __future__ import annotations

from typing import ClassVar

from multiturn.formats.switching import Modality, Target

NEEDED = 'xAI over gRPC needs its SDK: pip install "multiturn[xai]"'


class Dialect(Target, frozen=True, kw_only=True):
    """The habits of api.x.ai. Its messages hold text, images and files, and it keeps answers for later requests."""

    format: ClassVar[str] = "xai"

    provider: str = "xai"

    key_variable: str | None = "XAI_API_KEY"

    inputs: tuple[Modality, ...] | None = ("image", "file")

    tool_names: str = r"[\s\S]*"  # no rule is documented

    keeps_answers: bool = True
