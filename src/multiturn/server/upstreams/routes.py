"""Which upstreams a model's name leads to."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from multiturn.errors import InvalidInput

_WILD = re.compile(r"\[!?.[^]]*\]|[*?]")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Names that match lead to these upstreams: to the first, and to the next where that fails. Checked when made:
    raises `InvalidInput`."""

    match: str
    """A model's name, or a glob with `*`, `?` and `[…]`, as in `gpt-*`."""

    to: str | tuple[str, ...]
    """An upstream's name, or several."""

    model: str | None = None
    """What the model is called there, where that is not the name asked for."""

    def __post_init__(self) -> None:
        if not self.match.strip():
            raise InvalidInput("a route must match something; give a model's name, or a glob such as gpt-*")
        if not self.upstreams:
            raise InvalidInput(f"the route for {self.match} leads to no upstream; name one with to")
        if len(set(self.upstreams)) < len(self.upstreams):
            raise InvalidInput(f"the route for {self.match} names an upstream twice")
        if self.model is not None and (not self.model.strip() or _WILD.search(self.model)):
            raise InvalidInput(f"the route for {self.match}: model must be the name of one model, or left out")

    @property
    def upstreams(self) -> tuple[str, ...]:
        return (self.to,) if isinstance(self.to, str) else self.to

    @property
    def is_glob(self) -> bool:
        return _WILD.search(self.match) is not None


class _Glob(NamedTuple):
    pattern: re.Pattern[str]
    route: Route


class Routes:
    """Routes by precedence: an exact name before a glob, then the glob with more letters of its own, then in order."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = tuple(routes)
        self._exact: dict[str, Route] = {}
        for route in routes:
            if not route.is_glob:
                self._exact.setdefault(route.match, route)
        globs = sorted((route for route in routes if route.is_glob), key=lambda route: -_letters(route.match))
        self._globs = [_Glob(re.compile(fnmatch.translate(route.match)), route) for route in globs]

    @property
    def names(self) -> tuple[str, ...]:
        """The exact names."""
        return tuple(self._exact)

    @property
    def globs(self) -> tuple[str, ...]:
        """The globs, those that win first."""
        return tuple(glob.route.match for glob in self._globs)

    def find(self, name: str) -> Route | None:
        """The route of this name; None if there is none."""
        if name in self._exact:
            return self._exact[name]
        return next((glob.route for glob in self._globs if glob.pattern.match(name)), None)


def _letters(glob: str) -> int:
    """How many characters of a name it settles."""
    return len(_WILD.sub("", glob))
