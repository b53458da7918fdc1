"""`Source`: how an upstream is asked. Whose habits it has, where, and with which key."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from multiturn.errors import InvalidInput, MissingKey
from multiturn.formats.switching import Target
from multiturn.models.base import Model
from multiturn.models.limits import Retries
from multiturn.models.provider import Provider
from multiturn.models.providers import known_providers, same_address
from multiturn.models.registry import format_of, inputs_of, key_variable, must_have_key, own_url
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.models.rows import unknown
from multiturn.server.upstreams.upstream import Upstream

LISTING_S = 3.0
"""How long an upstream may take to say which models it has."""

_ONCE = Retries(attempts=1)
"""One try a call: trying again, here or at another replica, is what `RoutedModel` does."""


class Source:
    """An upstream, ready to be asked. Reads its key when made: raises `InvalidInput` for a provider that is not known
    or an API that it does not speak, and `MissingKey`."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.row = _row(upstream)
        self.urls = upstream.urls or (own_url(self.row),)
        self._key = self._read_key()
        if not self.is_grpc:
            self.row.dialect(upstream.api)

    @property
    def is_grpc(self) -> bool:
        return self.upstream.api == "grpc" and self.row.grpc

    def dialect(self, model: str) -> Target:
        """How a model is spoken to there, the same at every replica, so that bytes made for one do for all."""
        if self.is_grpc:
            from multiturn.formats.xai.dialect import Dialect

            return Dialect()
        dialect = self.row.dialect(self.upstream.api, model)
        return msgspec.structs.replace(dialect, inputs=inputs_of(self.row, dialect, model))

    def model(self, name: str, dialect: Target, url: str) -> Model:
        """The model of this name at one of the URLs."""
        timeouts = self.upstream.timeouts
        if self.is_grpc:
            from multiturn.models.xai import XaiModel

            host = url.partition("://")[2].partition("/")[0] or url
            return XaiModel(name, key=self._key, host=host, timeouts=timeouts, retries=_ONCE)
        row = self.row
        endpoint = Endpoint(provider=row.name, base_url=url, key_header=row.key_header, headers=row.headers)
        return RemoteModel(name, endpoint, format_of(dialect), dialect, key=self._key, timeouts=timeouts, retries=_ONCE)

    async def listed(self) -> tuple[str, ...]:
        """The names of the models that it says it has, by the first URL that answers in time; none if none does."""
        from multiturn.models.listing import list_models

        for url in self.urls:
            listing = await list_models(self.row, url, self._key, within_s=LISTING_S)
            if listing.problem is None:
                return listing.names
        return ()

    def _read_key(self) -> str | None:
        upstream, row = self.upstream, self.row
        at_home = not upstream.urls or all(same_address(url, row.base_url) for url in upstream.urls)
        variable = upstream.key_variable or (key_variable(row) if at_home else None)
        key = _content(upstream) if upstream.key_file is not None else os.environ.get(variable or "", "").strip()
        if not key and upstream.key_variable:
            raise MissingKey(f"upstream {upstream.name}: the variable {variable} is to hold its key, and is not set")
        if not key and any(must_have_key(row, url) for url in self.urls):
            raise MissingKey(f"upstream {upstream.name} needs a key: set {' or '.join(row.keys)}, or key_variable")
        if key and not (key.isascii() and key.isprintable()):
            raise InvalidInput(f"the key of upstream {upstream.name} holds characters that a key cannot have")
        return key or None


def _row(upstream: Upstream) -> Provider:
    known = known_providers()
    if upstream.provider is not None:
        if upstream.provider not in known:
            raise InvalidInput(
                f"upstream {upstream.name}: there is no provider {upstream.provider!r}{guess(upstream.provider, known)}"
            )
        return known[upstream.provider]
    if not upstream.urls:
        if upstream.name not in known:
            raise InvalidInput(f"upstream {upstream.name} needs urls, or a provider whose own address is asked")
        return known[upstream.name]
    for row in known.values():
        if all(same_address(url, row.base_url) for url in upstream.urls):
            return row
    if upstream.name in known:
        raise InvalidInput(
            f"upstream {upstream.name} has a provider's name and another address; if it is spoken to as that provider "
            f"is, say provider = {upstream.name!r}, else give it another name"
        )
    return unknown(upstream.name, upstream.urls[0])


def _content(upstream: Upstream) -> str:
    assert upstream.key_file is not None
    try:
        key = Path(upstream.key_file).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"upstream {upstream.name}: cannot read {upstream.key_file}: {why}") from error
    if not key:
        raise MissingKey(f"upstream {upstream.name}: {upstream.key_file} is empty; it is to hold the key")
    return key


def guess(word: str, possible: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known."""
    near = difflib.get_close_matches(word, list(possible), n=1)
    return f"; did you mean {near[0]}?" if near else ""
