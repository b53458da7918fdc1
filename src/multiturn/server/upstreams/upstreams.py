"""`Upstreams`: from the name that a client asks for to the model."""

from __future__ import annotations

import asyncio
import difflib
import re
import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from multiturn.errors import InvalidInput, UnknownModel
from multiturn.models.base import Model
from multiturn.models.catalogue import ModelInfo
from multiturn.models.offline import OfflineModel
from multiturn.models.providers import known_providers
from multiturn.models.registry import info_of
from multiturn.server.upstreams.replicas import Replicas, ReplicaState
from multiturn.server.upstreams.routed import Destination, RoutedModel
from multiturn.server.upstreams.routes import Route, Routes
from multiturn.server.upstreams.source import Source, guess
from multiturn.server.upstreams.upstream import Upstream

MOST_NAMES = 1000
"""How many names are kept found; they come from clients."""

LISTED_S = 60.0
"""How long what upstreams say of their models is taken for true."""

_POSSIBLE = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[^\s\x00-\x1f\x7f]{1,256}")


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be asked for by `id`. `owner` is the provider's name, or the upstream's; `info` what the
    catalogue knows of the model."""

    id: str
    owner: str
    info: ModelInfo = ModelInfo()


class Upstreams:
    """Where models are asked. With no upstream at all, the offline model answers every name. `allow_providers` lets
    clients ask for `offline` and `provider:name`, with the keys that this process has; routes come first.

    For one event loop. Raises `InvalidInput` for what does not fit together, and `MissingKey`."""

    def __init__(
        self, routes: Sequence[Route] = (), upstreams: Sequence[Upstream] = (), *, allow_providers: bool = False
    ) -> None:
        self._replicas: dict[str, Replicas] = {}
        for upstream in upstreams:
            if upstream.name in self._replicas:
                raise InvalidInput(f"there are two upstreams named {upstream.name}")
            self._replicas[upstream.name] = Replicas(Source(upstream))
        for route in routes:
            self._check(route)
        self._routes = Routes([*routes, *_implied(routes, upstreams)])
        self._allow_providers = allow_providers
        self._providers: dict[str, Replicas] = {}
        self._offline = OfflineModel()
        self._found: OrderedDict[str, tuple[Destination, ...]] = OrderedDict()
        self._told: list[tuple[str, str]] = []
        self._ask_after = 0.0
        self._asking = asyncio.Lock()

    def _check(self, route: Route) -> None:
        if not self._replicas:
            raise InvalidInput(f"the route for {route.match} leads nowhere, for there is no upstream")
        for name in route.upstreams:
            if name not in self._replicas:
                raise InvalidInput(
                    f"the route for {route.match}: there is no upstream {name}{guess(name, self._replicas)}"
                )

    @property
    def is_offline(self) -> bool:
        """Whether the offline model answers every name."""
        return not self._replicas

    def model(self, name: str, *, affinity: str | None = None) -> Model:
        """The model of this name, for one exchange. What has the same `affinity` goes to the same replica while that
        is up. Raises `UnknownModel`, which says what is near."""
        destinations = self._found.get(name)
        if destinations is None:
            destinations = self._find(name)
            if not destinations:
                return self._offline
            self._found[name] = destinations
            if len(self._found) > MOST_NAMES:
                self._found.popitem(last=False)
        return RoutedModel(destinations, affinity)

    def _find(self, name: str) -> tuple[Destination, ...]:
        """Where the name leads; nowhere for the offline model."""
        route = self._routes.find(name) if _POSSIBLE.fullmatch(name) else None
        if route is not None:
            return tuple(Destination(self._replicas[each], route.model or name) for each in route.upstreams)
        if self._allow_providers and (found := self._at_provider(name)):
            return (found,)
        if self.is_offline or (self._allow_providers and name == "offline"):
            return ()
        raise self._unknown(name)

    def _at_provider(self, name: str) -> Destination | None:
        provider, _, rest = name.partition(":")
        if not _POSSIBLE.fullmatch(name) or not rest or provider not in known_providers():
            return None
        if provider not in self._providers:
            try:
                self._providers[provider] = Replicas(Source(Upstream(name=provider, provider=provider)))
            except InvalidInput as error:  # it names the variables that are missing, which are nothing for clients
                raise UnknownModel(f"there is no model {name!r} here: this server has no way to {provider}") from error
        return Destination(self._providers[provider], rest)

    def _unknown(self, name: str) -> UnknownModel:
        short = name if len(name) <= 100 else f"{name[:100]}…"
        known = [*self._routes.names, *self._routes.globs]
        near = difflib.get_close_matches(short, self._routes.names, n=3, cutoff=0.5)
        if near:
            return UnknownModel(f"there is no model {short!r} here; did you mean {' or '.join(map(repr, near))}?")
        return UnknownModel(f"there is no model {short!r} here; there are {', '.join(known[:10])}")

    def names(self) -> list[ModelCard]:
        """The models that the settings name, in their order; `offline` where there is no upstream."""
        if self.is_offline:
            return [ModelCard(id="offline", owner="offline")]
        return [self._card(name) for name in self._routes.names]

    async def listed(self) -> list[ModelCard]:
        """`names()`, and what upstreams that list no models say they have, as far as those names lead there. They are
        asked at most once in `LISTED_S` seconds; one that does not answer adds nothing."""
        async with self._asking:
            if time.monotonic() >= self._ask_after:
                silent = [each for each in self._replicas.values() if not each.source.upstream.models]
                told = await asyncio.gather(*(each.source.listed() for each in silent))
                self._told = [(each.name, name) for each, names in zip(silent, told, strict=True) for name in names]
                self._ask_after = time.monotonic() + LISTED_S
        found = [name for upstream, name in self._told if self._leads(name, upstream)]
        return [*self.names(), *(self._card(name) for name in dict.fromkeys(found))]

    def _leads(self, name: str, upstream: str) -> bool:
        """Whether this name leads to this upstream's model of the same name, by a glob."""
        route = self._routes.find(name) if _POSSIBLE.fullmatch(name) else None
        return route is not None and route.is_glob and route.model is None and route.upstreams[0] == upstream

    def _card(self, name: str) -> ModelCard:
        first = self._find(name)[0]
        return ModelCard(id=name, owner=first.provider, info=info_of(first.replicas.source.row, first.name))

    def states(self) -> list[ReplicaState]:
        """How every replica does at this moment."""
        every = [*self._replicas.values(), *self._providers.values()]
        return [replica.state for replicas in every for replica in replicas.all]

    async def aclose(self) -> None:
        """Let go of the connections of this event loop. Everything stays usable."""
        for replicas in [*self._replicas.values(), *self._providers.values()]:
            for replica in replicas.all:
                await replica.aclose()


def _implied(routes: Sequence[Route], upstreams: Sequence[Upstream]) -> list[Route]:
    """What the upstreams say themselves: their models lead to them, and where there is no route at all, every other
    name leads to the one that lists none. Raises `InvalidInput` for an upstream that nothing leads to."""
    listed: dict[str, list[str]] = {}
    for upstream in upstreams:
        for model in upstream.models:
            listed.setdefault(model, []).append(upstream.name)
    implied = [Route(match=model, to=tuple(names)) for model, names in listed.items()]
    led_to = {name for route in routes for name in route.upstreams} | {u.name for u in upstreams if u.models}
    left = [upstream.name for upstream in upstreams if upstream.name not in led_to]
    if len(left) == 1 and not routes:
        return [*implied, Route(match="*", to=left[0])]
    if left:
        raise InvalidInput(f"nothing leads to upstream {left[0]}; give it models, or a route such as match = '*'")
    return implied
