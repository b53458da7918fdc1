"""What an endpoint says that it has: GET of its list of models."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from multiturn.errors import ModelError, ModelNotFound, TimedOut
from multiturn.models.http import HttpTransport
from multiturn.models.limits import Retries, Timeouts
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
        status, body = await _get(provider, base_url, key, within_s)
    except TimedOut:
        return Listing(problem=f"no answer within {within_s:g} s")
    except ModelNotFound as error:  # a redirect
        return Listing(problem=f"it answers {error.status}")
    except ModelError:
        return Listing(problem="no answer")
    except ValueError:  # no URL, a key and a user in it, a key that cannot be sent
        return Listing(problem="it cannot be asked")
    if status in (401, 403):
        return Listing(problem="the key is not accepted" if key else "it wants a key")
    try:
        return Listing(_names(msgspec.json.decode(body))) if status == 200 else Listing(problem=f"it answers {status}")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Listing(problem="its answer is no list of models")


async def _get(provider: Provider, base_url: str, key: str | None, within_s: float) -> tuple[int, bytes]:
    transport = HttpTransport(
        base_url,
        key=key,
        key_header=provider.key_header,
        headers=dict(provider.headers),
        timeouts=Timeouts(connect_s=None, first_byte_s=None, idle_s=None, total_s=within_s),
        retries=Retries(attempts=1),
    )
    try:
        reply = await transport.get(provider.models_path)
        try:
            return reply.status, await reply.read(MAX_LIST_BYTES) if reply.status == 200 else b""
        finally:
            reply.close()
    finally:
        await transport.aclose()


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
