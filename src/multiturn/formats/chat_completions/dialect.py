"""What the servers that speak chat completions do differently, as data."""

from __future__ import annotations

from typing import ClassVar, Literal

from multiturn.formats.switching import Target


class Dialect(Target, frozen=True, kw_only=True):
    """One endpoint's habits; the defaults are OpenAI's."""

    format: ClassVar[str] = "chat_completions"

    provider: str = "openai"

    call_ids: str = r"[\s\S]{1,40}"

    developer_role: bool = True
    """Knows the role `developer`; if not, it is sent as `system`."""

    names: bool = True
    """Takes `name` on a message."""

    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """Where `Settings.max_output_tokens` goes."""

    stream_usage: bool = True
    """Takes `stream_options.include_usage`."""

    alternate: bool = False
    """Insists on user, assistant, user, … and on system at the start alone, as many chat templates do."""

    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None
    """The field of an assistant message in which earlier visible thinking is sent back; None sends none."""

    refusals: bool = True
    """Knows the field `refusal`; if not, a refusal is sent as text."""

    custom_tools: bool = True
    """Knows tool calls of type `custom`; if not, they are sent as functions with the one argument `input`."""

    video: bool = False
    """Takes content of type `video_url` (vLLM, Qwen)."""

    repair_arguments: bool = False
    """Fails on tool arguments that are not a JSON object even where its own model wrote them."""
