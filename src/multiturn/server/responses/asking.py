"""From the body of a request to an exchange: what it refers to is looked up, what the chain holds already is left out,
and what its model cannot do is refused before anything is stored."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput, NotFound
from multiturn.formats.responses import ServerRequest, decode_request, references
from multiturn.messages import Message
from multiturn.models.base import Model
from multiturn.path import Path
from multiturn.server.doors import Call
from multiturn.server.exchange import CHAIN, Asked, Exchange
from multiturn.server.limits import check_items
from multiturn.server.responses.custom_tools import WithCustomTools, as_functions
from multiturn.server.responses.include import check_include
from multiturn.server.responses.items import stored_item
from multiturn.server.responses.replays import new_of
from multiturn.server.responses.shown import kept, kept_whole, response_id, turn_id
from multiturn.turns import Turn

_OUR_ID = re.compile(rb'"id"\s*:\s*"([a-z]{2,4}_[0-9a-v]{26}_[io]\d+)"')
_OPENAI = frozenset(
    ("access_programs", "background_options", "context_management", "image", "moderation", "prompt", "top_logprobs")
)
"""Fields that OpenAI has, and that only a model asked through its API could honour."""


async def begun(call: Call, body: bytes, request: ServerRequest, *, path: Path | None = None) -> Exchange:
    """The exchange of this request, its turn stored by now. `path` is what it follows, where the caller has it. Raises
    as `Exchanges.begin` does, and `InvalidInput` for what the model cannot do."""
    if path is None:
        path = await _path(call, request)
        if request.store is False and request.previous_response_id:
            await _check_there(call, request.previous_response_id)
    request = await read(call, body, request, path)
    customs = frozenset[str]()
    if request.beyond or "tools" in request.native or "tool_choice" in request.native:
        request, customs = fitted(request, call.service.upstreams.model(request.model or ""))
    asked = asked_of(request)
    if request.background:  # others may want to see it as it comes, and another node may have to ask it again
        asked = msgspec.structs.replace(asked, stream=True, echo=kept_whole(body))
    asked, path = _keyed(asked, call.request.headers.get("idempotency-key"), path)
    try:
        exchange = await call.service.exchanges.begin(asked, call.caller, path=path)
    except NotFound as error:
        if error.kind == "previous response":  # by the id that the client knows
            raise NotFound(error.kind, request.previous_response_id or "") from None
        raise
    if customs:
        exchange.model = WithCustomTools(exchange.model, customs)
    return exchange


def decoded(call: Call, body: bytes) -> ServerRequest:
    """What the body asks, as far as it says it itself. Raises `InvalidInput`, and `NotFound` for a conversation that
    nobody has asked for."""
    request = decode_request(body)
    if request.conversation is not None and request.conversation.startswith(f"{CHAIN}_"):
        raise NotFound("conversation", request.conversation)
    check_items(len(request.messages), call.service.settings.limits)
    check_include(request.include)
    return request


# --- what was said --------------------------------------------------------------------------------------------------


async def read(call: Call, body: bytes, request: ServerRequest, path: Path | None) -> ServerRequest:
    """The request with its model's name, which is that of who has answered last if it gives none; with what it refers
    to; without what its chain holds already; and with encrypted thinking as that of the model's own provider. `path`
    is what it follows, if anything. Raises `InvalidInput`."""
    before = path.turns if path is not None else ()
    model = request.model or next((turn.model for turn in reversed(before) if turn.model), None)
    if model is None:
        raise InvalidInput("model: say which model is to answer")
    items, provider = await referred(call, request.messages, before), "openai"
    if any(message.origin is not None for message in request.messages):
        provider = call.service.upstreams.model(model).provider
    if items or provider != "openai":
        request = decode_request(body, provider=provider, items=items)
    new = request.messages
    if path is not None and before:
        new = new_of(request.messages, path)
        if new is request.messages and (known := _known(body, path)):
            request = decode_request(body, provider=provider, items=items, known=known)
            new = request.messages
    return msgspec.structs.replace(request, model=model, messages=new)


async def referred(call: Call, messages: Sequence[Message], near: Sequence[Turn] = ()) -> Mapping[str, Message]:
    """The items that are referred to, by their ids; many are of turns that are `near`. Raises `InvalidInput` for one
    that is not there."""
    found: dict[str, Message] = {}
    if not (ids := references(messages)):
        return found
    turns = {response_id(turn.id): turn for turn in near}
    for id in ids:
        try:
            found[id] = await stored_item(call.store, id, turns)
        except NotFound:
            raise InvalidInput(f"input: there is no item {id!r} to refer to") from None
    return found


def _known(body: bytes, path: Path) -> frozenset[str]:
    """The ids in the body of items that are on the path."""
    turns = {turn.id.partition("_")[2] for turn in path.turns}
    ids = (found.decode() for found in _OUR_ID.findall(body))
    return frozenset(id for id in ids if id.split("_")[1] in turns)


async def _path(call: Call, request: ServerRequest) -> Path | None:
    """What the request follows, where that has to be known before it begins; None else."""
    chained = request.previous_response_id or request.conversation
    looks_back = request.model is None or any(message.role == "assistant" for message in request.messages)
    return await path_of(call, request) if chained and looks_back else None


async def path_of(call: Call, request: ServerRequest) -> Path:
    """What the request follows. Raises `NotFound`."""
    exchanges, store, after = call.service.exchanges, call.store, request.previous_response_id
    if request.conversation is not None:
        return await exchanges.path(store, call.caller.tenant, (await store.conversation(request.conversation)).head)
    try:
        head = turn_id(after) if after else None
        return await exchanges.path(store, call.caller.tenant, head)
    except NotFound:
        raise NotFound("previous response", after or "") from None


async def _check_there(call: Call, response_id: str) -> None:
    """Raise `NotFound` where the response has been deleted, which a path at hand does not tell: nothing is to be
    stored behind it, so that nobody else asks."""
    try:
        await call.store.turn(turn_id(response_id))
    except NotFound:
        raise NotFound("previous response", response_id) from None


# --- who is asked, and what -----------------------------------------------------------------------------------------


def fitted(request: ServerRequest, model: Model) -> tuple[ServerRequest, frozenset[str]]:
    """The request as this model can be asked it, and the names of functions that stand for custom tools. Raises
    `InvalidInput` for what it cannot be asked."""
    if getattr(model, "format", None) == "responses":
        return request, frozenset()
    for name in request.beyond:
        if name == "top_logprobs" and not request.native[name]:
            continue
        if name in _OPENAI:
            raise InvalidInput(f"{name}: {request.model!r} cannot do this; leave it out")
        raise InvalidInput(f"{name}: unknown parameter")
    return as_functions(request)


def asked_of(request: ServerRequest) -> Asked:
    """What the request asks, in the words of every door."""
    after = request.previous_response_id
    return Asked(
        model=request.model or "",
        messages=request.messages,
        format="responses",
        instructions=request.instructions,
        tools=request.tools,
        settings=request.settings,
        native=request.native,
        stream=request.stream,
        stored=request.store is not False,
        after=turn_id(after, "previous response") if after else None,
        conversation=request.conversation,
        kind="response",
        truncates=request.truncation == "auto",
        background=request.background,
        echo=kept(request.echo),
        metadata=request.metadata,
        user=request.user,
    )


def _keyed(asked: Asked, key: str | None, path: Path | None) -> tuple[Asked, Path | None]:
    """With an idempotency key: what begins a chain begins it where the same request would have begun it before."""
    if not key or not asked.stored:
        return asked, path
    asked = msgspec.structs.replace(asked, key=key)
    if asked.after is None and asked.conversation is None:
        name = base64.b32hexencode(hashlib.sha256(key.encode()).digest()).decode().lower()[:26]
        return msgspec.structs.replace(asked, conversation=f"{CHAIN}_{name}"), Path()
    return asked, path
