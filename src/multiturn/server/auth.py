"""Who is calling: API keys, each of which belongs to a tenant.

The store keeps a key's SHA-256 and never the key. As long as it holds none, the server serves only programs on this
machine, and everybody is the tenant `''`, which is the library's and the command line's own.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from multiturn.errors import InvalidInput, Unauthorized
from multiturn.ids import new_id
from multiturn.server.settings.values import is_loopback
from multiturn.stores.base import Store
from multiturn.stores.records import KeyRecord

PREFIX = "mt-"
_FRESH_S = 4.0  # how long a key is believed without asking the store; a revocation must show within 5 s
_MOST_KEPT = 10_000


class Caller(NamedTuple):
    """Who is calling: a tenant, by one of its keys. Limits that are None are those of the server's settings."""

    tenant: str = ""
    key_id: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


ANYBODY = Caller()
"""The caller where there are no keys."""


def new_key(
    tenant: str,
    *,
    name: str | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> tuple[str, KeyRecord]:
    """A new key, which nothing can tell again, and what the store is to keep of it. 192 random bits."""
    text = PREFIX + secrets.token_hex(24)
    record = KeyRecord(
        id=new_id("key"),
        tenant=tenant,
        digest=digest(text),
        name=name,
        created_at=time.time(),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    return text, record


def digest(key: str) -> bytes:
    """What the store keeps of a key. So many random bits need no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class Keys:
    """Who may call the server of this store that listens on `host`. `origins` are the web pages that may, beside those
    that come from this machine; `clock` gives seconds."""

    def __init__(
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        origins: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._is_local = is_loopback(host)
        self._origins = origins
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._open_until = 0.0

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Who sends these headers, or this gRPC metadata; names in small letters. The key is in `authorization`, after
        `Bearer`, or in `x-api-key`. Raises `Unauthorized`."""
        if await self._is_open():
            self._check_local(headers)
            return ANYBODY
        key = _key(headers)
        if not key:
            raise Unauthorized("this server wants an API key: send it as Authorization: Bearer mt-…, or as x-api-key")
        wanted = digest(key)
        now = self._clock()
        fresh_until, caller = self._known.get(wanted, (0.0, ANYBODY))
        return caller if now < fresh_until else await self._looked_up(wanted, now)

    async def _looked_up(self, wanted: bytes, now: float) -> Caller:
        record = await self._store.key(wanted)
        if record is None or record.revoked_at is not None or not hmac.compare_digest(record.digest, wanted):
            self._known.pop(wanted, None)
            raise Unauthorized("this API key is not known here, or is revoked; 'multiturn keys list' shows the keys")
        caller = Caller(record.tenant, record.id, record.requests_per_minute, record.tokens_per_minute)
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[wanted] = (now + _FRESH_S, caller)
        return caller

    async def _is_open(self) -> bool:
        """Whether nobody needs a key: there has never been one, and only this machine can call."""
        if not self._is_local:
            return False
        if self._clock() < self._open_until:
            return True
        if await self._store.keys():
            self._is_local = False  # keys are revoked, never gone: from now on one is needed
            return False
        self._open_until = self._clock() + _FRESH_S
        return True

    def _check_local(self, headers: Mapping[str, str]) -> None:
        """Without keys, nobody else may come in through what runs on this machine: a web page through a browser, from
        another origin or under a name of its own that leads here (DNS rebinding), or the world through a proxy."""
        host, origin = headers.get("host"), headers.get("origin")
        if host is not None and not _is_here(f"//{host}"):
            raise Unauthorized(f"without API keys this server answers only to localhost, not to {host!r}; {_MAKE_ONE}")
        if "x-forwarded-for" in headers or "forwarded" in headers:
            raise Unauthorized(f"without API keys this server answers nobody behind a proxy; {_MAKE_ONE}")
        if origin is not None and not (origin in self._origins or "*" in self._origins or _is_here(origin)):
            raise Unauthorized(
                f"without API keys this server answers no page of {origin!r}; name it in cors_origins, or {_MAKE_ONE}"
            )


_MAKE_ONE = "make a key with 'multiturn keys create'"


@functools.lru_cache(maxsize=256)
def _is_here(url: str) -> bool:
    """Whether the URL's host is this machine, by its name."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # half an IPv6 address
        return False


def check_start(host: str, keys: Collection[KeyRecord]) -> None:
    """Raise `InvalidInput` where others than this machine could call, and there is no key that works."""
    if not is_loopback(host) and all(key.revoked_at is not None for key in keys):
        raise InvalidInput(
            f"{host} can be reached from other machines, and there is no API key: make one with "
            "'multiturn keys create', or listen on 127.0.0.1"
        )


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return (key if scheme.lower() == "bearer" else "").strip() or headers.get("x-api-key", "").strip()
