"""What the servers that speak the Responses API do differently, as data."""

from __future__ import annotations

from typing import ClassVar

from multiturn.formats.switching import Target


class Dialect(Target, frozen=True, kw_only=True):
    """One endpoint's habits; the defaults are OpenAI's. A server that stores nothing (vLLM and Ollama by default,
    OpenRouter, Groq) is one of `keeps_answers=False`."""

    format: ClassVar[str] = "responses"

    provider: str = "openai"

    keeps_answers: bool = True

    encrypted_reasoning: bool = True
    """Knows `include: ["reasoning.encrypted_content"]`, which is then asked for in every request: encrypted thinking
    can be sent again when the provider has lost, or was never to keep, the answer that it stands in."""

    thinks: bool = True
    """The model thinks. One that does not rejects earlier thinking (400, "can only be provided to a reasoning model"),
    and being asked for encrypted thinking (400, "not supported with this model")."""

    reasoning_text: bool = False
    """Takes earlier thinking back in the clear, as servers of open models do; OpenAI rejects it (400, "array too
    long")."""

    item_ids: bool = True
    """Takes its items back under their ids. Some servers look them up and fail, though the item is all there."""

    developer_role: bool = True
    """Knows the role `developer`; if not, it is sent as `system`."""

    custom_tools: bool = True
    """Knows items of type `custom_tool_call`; if not, such calls are sent as functions with the one argument
    `input`."""

    penalties: bool = False
    """Takes `presence_penalty` and `frequency_penalty`, which Open Responses has and OpenAI has not."""

    repair_arguments: bool = False
    """Fails on tool arguments that are not a JSON object even where its own model wrote them."""
