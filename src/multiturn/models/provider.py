"""`Provider`: an endpoint that can be asked by name, as data."""

from __future__ import annotations

import importlib
import re
from typing import Any, Literal, TypeAlias

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.switching import Modality, Target
from multiturn.models.catalogue import ModelInfo

Api: TypeAlias = Literal["chat", "responses", "grpc"]
FORMAT_OF: dict[Api, str] = {"chat": "chat_completions", "responses": "responses"}


Habits: TypeAlias = tuple[tuple[str, Any], ...]
"""Fields of a format's dialect, and their values."""


class Spoken(msgspec.Struct, frozen=True):
    """A format that a provider speaks, and its habits there; `of_models` are those of models whose whole name matches a
    pattern. Formats are imported when they are needed; each takes as long as a small library."""

    format: str
    habits: Habits = ()
    of_models: tuple[tuple[str, Habits], ...] = ()

    def habits_of(self, model: str) -> dict[str, Any]:
        found = dict(self.habits)
        for pattern, habits in self.of_models:
            if re.fullmatch(pattern, model):
                found.update(habits)
        return found


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint, or the user's own row for one."""

    name: str

    base_url: str

    spoken: tuple[Spoken, ...]
    """The formats that it speaks, the one it is asked in first."""

    keys: tuple[str, ...] = ()
    """The variables that may hold its key; the first that is set wins."""

    key_header: str = "Authorization"
    """Where the key goes."""

    headers: tuple[tuple[str, str], ...] = ()
    """What goes along with every request."""

    needs_key: bool = True
    """Whether its own address cannot be asked without a key; a server on one's own machine can."""

    url_variable: str | None = None
    """The variable that may hold another base URL."""

    host_variable: str | None = None
    """The variable that may hold just a host, as Ollama's does."""

    needs_host: bool = False
    """Everyone has an address of their own, which `host_variable` holds; `base_url` only shows what it looks like."""

    grpc: bool = False
    """Speaks gRPC as well, through its own SDK."""

    models_path: str = "/models"
    """Where it lists its models."""

    models: tuple[ModelInfo, ...] = ()
    """What the user says of single models; the catalogue is asked for all others."""

    reads: tuple[Modality, ...] | None = None
    """What the user says all of its models read; the catalogue is not asked then."""

    def dialect(self, api: Api | None, model: str = "") -> Target:
        """How it is spoken to over this API, over its usual one for None, when it is asked for this model. Raises
        `InvalidInput`."""
        wanted = self.spoken[0].format if api is None else FORMAT_OF.get(api)
        if wanted not in self.formats:
            apis = " or ".join(repr(name) for name in self._apis)
            other = f"it speaks api={apis}" if apis else "leave api out"
            raise InvalidInput(f"{self.name} does not speak api={api!r}; {other}")
        return self.dialect_of(wanted, model)

    def dialect_of(self, format: str, model: str = "") -> Target:
        """How it is spoken to in this format; as any server would be, in one that it is not known to speak."""
        spoken = next((spoken for spoken in self.spoken if spoken.format == format), Spoken(format))
        names = {"provider": self.name, "key_variable": self.keys[0] if self.keys else None}
        made: Target = importlib.import_module(f"multiturn.formats.{format}").Dialect(
            **{**names, **spoken.habits_of(model)}
        )
        return made

    @property
    def dialects(self) -> tuple[Target, ...]:
        """How it is spoken to in each of its formats, in their order."""
        return tuple(self.dialect_of(format) for format in self.formats)

    @property
    def formats(self) -> list[str]:
        return [spoken.format for spoken in self.spoken]

    @property
    def _apis(self) -> list[Api]:
        spoken = [name for name, format in FORMAT_OF.items() if format in self.formats]
        return [*spoken, "grpc"] if self.grpc else spoken
