"""A user's own SDK client as the way to a model."""

from __future__ import annotations

from multiturn.formats.switching import Switching
from multiturn.models.base import Model
from multiturn.models.providers import Api


def through(client: object, model: str, *, api: Api | None, switching: Switching) -> Model:
    """The model of this name, asked through the client."""
    raise NotImplementedError
