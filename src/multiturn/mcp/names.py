"""Names that every provider takes, for tools that are called otherwise at their server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

MAX_LENGTH = 64


def names_for(originals: Iterable[str], prefix: str = "") -> dict[str, str]:
    """A name for each of a server's tools: its own after the prefix, if that is letters, digits, `_` and `-`, begins
    with a letter or `_`, and is not too long (what OpenAI, Anthropic and Gemini all take); else the nearest such name,
    with a few digits of a hash where it was cut or is another tool's too. The same names give the same names."""
    wanted = {name: prefix + name for name in dict.fromkeys(originals)}
    nearest = {name: _allowed(text) for name, text in wanted.items()}
    taken = Counter(nearest.values())
    return {
        name: near
        if len(near) <= MAX_LENGTH and (near == wanted[name] or taken[near] == 1)
        else f"{near[: MAX_LENGTH - 9]}_{sha256(name.encode()).hexdigest()[:8]}"
        for name, near in nearest.items()
    }


def _allowed(text: str) -> str:
    text = re.sub(r"[^a-zA-Z0-9_-]", "_", text)
    return text if re.match(r"[a-zA-Z_]", text) else f"_{text}"
