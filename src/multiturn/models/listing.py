"""What an endpoint says that it has: GET of its list of models."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from multiturn.models.http import USER_AGENT, proxy_for
from multiturn.models.provider import Provider

MAX_LIST_BYTES = 16 << 20


class Listing(NamedTuple):
    """The names of the models, as one would ask for them, in the endpoint's order; or why there are none to tell."""

    names: tuple[str, ...] = ()
    problem: str | None = None


async def list_models(provider: Provider, base_url: str, key: str | None, *, within_s: float) -> Listing:
    """What the endpoint lists, asked once and given this many seconds in all. Never raises for what goes wrong there:
    that is the listing's `problem`, and never holds the key."""
    try:
        status, body = await asyncio.wait_for(_get(provider, base_url, key), within_s)
    except TimeoutError:
        return Listing(problem=f"no answer within {within_s:g} s")
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):  # ValueError: a key and a user
        return Listing(problem="it cannot be asked")
    except (aiohttp.ClientError, OSError):
        return Listing(problem="no answer")
    if status in (401, 403):
        return Listing(problem="the key is not accepted" if key else "it wants a key")
    try:
        return Listing(_names(msgspec.json.decode(body))) if status == 200 else Listing(problem=f"it answers {status}")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Listing(problem="its answer is no list of models")


async def _get(provider: Provider, base_url: str, key: str | None) -> tuple[int, bytes]:
    headers = {"User-Agent": USER_AGENT, **dict(provider.headers)}
    if key:
        headers[provider.key_header] = f"Bearer {key}" if provider.key_header == "Authorization" else key
    path, _, query = provider.models_path.partition("?")
    url = URL(base_url)
    url = url.with_path(url.path.rstrip("/") + path).update_query(query).update_query(url.query)
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers, proxy=proxy_for(base_url), allow_redirects=False) as reply,
    ):
        body = bytearray()
        async for piece in reply.content.iter_any():
            body += piece
            if len(body) > MAX_LIST_BYTES:
                return reply.status, b""
        return reply.status, bytes(body)


def _names(answer: Any) -> tuple[str, ...]:
    """The names in `{"data": [{"id"}]}` (OpenAI, Anthropic), a bare list (Together) or `{"models": [{"name"}]}`
    (Gemini, which lists what cannot chat as well). Raises `ValueError` for anything else."""
    if isinstance(answer, dict):
        answer = answer.get("data", answer.get("models", ...)) or []
    if not isinstance(answer, list):
        raise ValueError("no list")
    return tuple(name for item in answer if isinstance(item, dict) and (name := _name(item)))


def _name(item: dict[str, Any]) -> str | None:
    if "generateContent" not in item.get("supportedGenerationMethods", ("generateContent",)):
        return None
    name = item.get("id") or item.get("name")
    return name.removeprefix("models/") if isinstance(name, str) else None
