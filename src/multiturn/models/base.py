"""The seam between a run and whoever answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from multiturn.deltas import Answer, Delta, Deltas
from multiturn.notices import Notice
from multiturn.request import Request


class Model(Protocol):
    """Something that answers. Safe to share between conversations, threads and event loops."""

    @property
    def provider(self) -> str:
        """The provider's name, by which origins, signatures and blobs are scoped: `openai`, `offline`."""

    @property
    def name(self) -> str:
        """The model's name at its provider."""

    def answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """The answer to one request: notices, deltas as they come if `request.stream`, several as `Deltas` where they
        come at once, then exactly one `Answer`, the last item. Raises a `ModelError`; never ends without an `Answer`.
        Closing the generator ends the call at its provider too (the connection is closed)."""

    async def aclose(self) -> None:
        """Let go of connections that belong to the running event loop. The model stays usable."""
