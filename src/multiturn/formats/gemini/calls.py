"""The ids and names of function calls.

Gemini 3 gives every call an id; models before it give none, and then we make one: it depends on nothing but the answer
and the call, holds the function's name, so that a result in a later turn finds it, and is never sent to Gemini.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from multiturn.messages import ToolCall

_MADE = re.compile(r"gemini_[0-9a-f]{10}_(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")

SKIP = "skip_thought_signature_validator"
"""Stands for the signature of a call that Gemini did not make, as Google documents it
(https://ai.google.dev/gemini-api/docs/thought-signatures, FAQs)."""


def with_id(call: ToolCall, *, position: int, answer: str) -> ToolCall:
    """The call, with an id of our making if it came without one. `position` is its place among the calls of the answer,
    `answer` the provider's id of that."""
    if call.call_id:
        return call
    what = f"{answer}\n{position}\n{call.name}\n{call.arguments}".encode(errors="replace")
    id = f"gemini_{hashlib.sha256(what).hexdigest()[:10]}_{call.name}"
    return msgspec.structs.replace(call, call_id=id)


def sent_id(call_id: str) -> str | None:
    """The id as it goes over the wire; None for one that we made."""
    return None if _MADE.fullmatch(call_id) else call_id


def name_in(call_id: str) -> str | None:
    """The function's name, in an id that we made."""
    found = _MADE.fullmatch(call_id)
    return found[1] if found else None


def function_name(text: str) -> str:
    """A name that Gemini takes: a letter or an underscore, then up to 127 letters, digits and `_.:-`. What is one
    already is left as it is."""
    if _NAME.fullmatch(text):
        return text
    name = re.sub(r"[^A-Za-z0-9_.:-]", "_", text)
    return (name if _NAME.match(name) else f"_{name}")[:128]
