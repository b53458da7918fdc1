"""Proxies: which one leads to a URL, and how one logs in to it."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from multiturn.errors import InvalidInput


class Proxy(NamedTuple):
    """A proxy, and the `Authorization` that it wants, if any."""

    host: str
    port: int
    is_secure: bool
    authorization: str | None

    def __repr__(self) -> str:
        return f"<Proxy {place(self.host, self.port)}>"  # without the password


def proxy_for(base_url: str) -> str | None:
    """The URL of the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (or the system's settings) name for
    this URL; never one for this machine itself, which no proxy can reach."""
    url = urlsplit(base_url)
    host = url.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    import urllib.request  # slow to import, and whoever has a model at home does without

    proxies = urllib.request.getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named or urllib.request.proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return named if "://" in named else f"http://{named}"


def proxy_of(url: str) -> Proxy:
    """The proxy of such a URL. Raises `InvalidInput` for any other kind of proxy."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(
            f"the proxy that the environment names must be like http://host:3128, not {parts.scheme}://…"
        )
    is_secure = parts.scheme == "https"
    return Proxy(parts.hostname, parts.port or (443 if is_secure else 80), is_secure, basic(parts))


def basic(url: SplitResult) -> str | None:
    """The `Authorization` that a URL's user and password make (RFC 7617); None where it has none."""
    if not url.username and not url.password:
        return None
    user = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def place(host: str, port: int) -> str:
    """Host and port as URLs have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
