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

    seed_field: Literal["seed", "random_seed"] = "seed"
    """Where `Settings.seed` goes."""

    stream_usage: bool = True
    """Takes `stream_options.include_usage`."""

    schemas: bool = True
    """Takes `response_format` of type `json_schema`; if not, it is asked for any JSON object, and told the schema."""

    alternate: bool = False
    """Insists on user, assistant, user, … and on system at the start alone, as many chat templates do."""

    answers_tools: bool = False
    """Wants an assistant's message between a tool's result and what the user says next."""

    null_content: bool = True
    """Takes null content beside tool calls; if not, an empty string is sent."""

    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None
    """The field of an assistant message in which earlier visible thinking is sent back; None sends none."""

    reasoning_required: bool = False
    """Fails where an assistant's message lacks `reasoning_field`; where there was no thinking, it is sent empty."""

    refusals: bool = True
    """Knows the field `refusal`; if not, a refusal is sent as text."""

    custom_tools: bool = True
    """Knows tool calls of type `custom`; if not, they are sent as functions with the one argument `input`."""

    video: bool = False
    """Takes content of type `video_url` (vLLM, Qwen)."""

    repair_arguments: bool = False
    """Fails on tool arguments that are not a JSON object even where its own model wrote them."""
