"""The way through a `google.genai.Client`.

That SDK has no door for a body that is ready: its methods take Python values, and encode them anew for each request.
Below them stand three private methods of its `BaseApiClient`. They are called in this module alone, as they are in
google-genai 1.60 to 3.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from multiturn.errors import InvalidInput
from multiturn.models.sdk.failures import cut, no_reply
from multiturn.models.sdk.replies import AsyncReply, Reply, WholeReply, given, without_key
from multiturn.models.sdk.threads import ThreadReply, once

_PRIVATE = ("_build_request", "_request", "_async_request", "_http_options")
_SYNC_OPTIONS = ("httpx_client", "client_args")
_ASYNC_OPTIONS = ("httpx_async_client", "aiohttp_client", "async_client_args")


class Way:
    """A transport through this client. It asks on the running event loop, by the client's async side, which keeps
    connections for each loop; but in threads where its user has set up the sync side alone.

    Raises `InvalidInput` for a client that cannot be sent through so."""

    def __init__(self, client: Any) -> None:
        api = self._api = client._api_client
        if missing := [name for name in _PRIVATE if not hasattr(api, name)]:
            raise InvalidInput(
                f"this version of google-genai has no {missing[0]}, by which multiturn sends what is encoded already; "
                f"google-genai 3.4 has, or leave client out"
            )
        options = api._http_options
        url = urlsplit(options.base_url)
        self.key: str | None = api.api_key
        self.host = url.netloc.rpartition("@")[2]
        self.base_url = f"{url.scheme}://{self.host}{url.path.rstrip('/')}/{options.api_version or ''}".rstrip("/")
        self.on_vertex = bool(api.vertexai)
        self._in_threads = _has_any(options, _SYNC_OPTIONS) and not _has_any(options, _ASYNC_OPTIONS)
        if self._in_threads and self.on_vertex and not self.key:
            raise InvalidInput(
                "the sync side of this genai.Client encodes everything anew with Google Cloud credentials; "
                "set up its async side too: async_client_args beside client_args"
            )

    async def post(self, path: str, body: bytes, *, stream: bool = False) -> Reply:
        named = not self.on_vertex or path.startswith(("/publishers/", "/projects/"))
        place = path.removeprefix("/") if named else f"publishers/google{path}"
        request = self._api._build_request("post", place, {}, None)
        if request.data:
            raise InvalidInput("the extra_body of a genai.Client is not sent; give it as Settings(extra={…})")
        request.data = body
        try:
            if self._in_threads:
                return await self._from_thread(lambda: self._api._request(request, None, stream), stream)
            response = await self._api._async_request(request, None, stream)
            return self._begun(response.response_stream) if stream else _whole(response)
        except Exception as error:
            outcome = self._outcome(error, request.headers)
        return given(outcome)

    async def _from_thread(self, ask: Callable[[], Any], stream: bool) -> Reply:
        if stream:
            return await ThreadReply.to(lambda: ask().response_stream, self.host)
        return _whole(await once(ask))

    def _begun(self, response: Any) -> Reply:
        kind = AsyncReply if hasattr(response, "aiter_bytes") else _AiohttpReply
        return kind(response, self.host)

    def _outcome(self, error: Exception, sent: dict[str, str]) -> Reply | Exception:
        """What an exception of the SDK means: a reply whose status is an error, or an error of ours."""
        code, details = getattr(error, "code", None), getattr(error, "details", None)
        if not isinstance(code, int) or details is None:
            return no_reply(error, self.host, "genai")
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        body = json.dumps(details, ensure_ascii=False).encode(errors="replace")
        return WholeReply(code, headers, without_key(body, sent))

    async def aclose(self) -> None:
        """Nothing: the connections are the user's."""


def _has_any(options: Any, names: tuple[str, ...]) -> bool:
    return any(getattr(options, name, None) for name in names)


def _whole(response: Any) -> WholeReply:
    """What the SDK makes of a reply: its headers in a dict, their names as they came, and its text."""
    from multidict import CIMultiDict

    text = response.response_stream[0] if response.response_stream else ""
    return WholeReply(200, CIMultiDict(response.headers), text.encode())


class _AiohttpReply(Reply):
    """A reply that the async side has begun to receive over aiohttp, which it uses if it can."""

    def __init__(self, response: Any, host: str) -> None:
        super().__init__(response.status, response.headers, host)
        self._response = response

    async def read_some(self) -> bytes:
        try:
            piece: bytes = await self._response.content.readany()
            return piece
        except Exception as error:
            failure = cut(error, self.host)
        raise failure  # not inside `except`, see `given`

    def close(self) -> None:
        self._response.close()
