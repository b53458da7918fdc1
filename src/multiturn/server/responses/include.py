"""What `include` may name."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import QueryParams

from multiturn.errors import InvalidInput

ENCRYPTED = "reasoning.encrypted_content"
"""Encrypted thinking: shown where it is asked for, and only there."""
_SHOWN_ANYWAY = ("message.input_image.image_url",)
_OF_TOOLS = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "web_search_call.action.sources",
    "web_search_call.results",
)
_KNOWN = (ENCRYPTED, *_SHOWN_ANYWAY, *_OF_TOOLS)


def check_include(include: Sequence[str]) -> None:
    """Raise `InvalidInput` for what cannot be included. What belongs to a hosted tool stands in its items, where the
    model's provider has been asked for it."""
    for name in include:
        if name == "message.output_text.logprobs":
            raise InvalidInput(f"include: {name} cannot be had here, for log probabilities are not kept; leave it out")
        if name not in _KNOWN:
            raise InvalidInput(f"include: {name!r} is not known; it may hold {', '.join(_KNOWN)}")


def included(query: QueryParams) -> list[str]:
    """What the query's `include` names; some clients write it `include[]`. Raises `InvalidInput`."""
    include = [*query.getlist("include"), *query.getlist("include[]")]
    check_include(include)
    return include
