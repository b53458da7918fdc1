"""From the bytes of a request to an exchange: what its model cannot do is refused, and what is stored already is left
out."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from multiturn.errors import InvalidInput, NotFound
from multiturn.formats.xai.incoming import ServerRequest, read, read_request, to_request
from multiturn.formats.xai.served import settings_of
from multiturn.formats.xai.wire import ROLES, Proto, chat_pb2
from multiturn.models.base import Model
from multiturn.path import Path
from multiturn.server.exchange import Asked
from multiturn.server.histories import Histories, Replayed
from multiturn.server.limits import check_depth, check_items
from multiturn.server.responses.replays import new_of
from multiturn.server.upstreams import Upstreams
from multiturn.server.xai.calls import Call
from multiturn.server.xai.shown import is_stored, kept, kept_settings, turn_id
from multiturn.turns import Turn, pending_calls

DEFERRED: Final = "deferred"
"""The kind of conversation that a deferred completion has for itself which is not to be stored, and what its id begins
with: so it can be found and deleted."""
_ONLY_XAI = ("search_parameters", "logprobs", "top_logprobs", "agent_count", "guidelines")
"""Fields that change the answer, and that only xAI's own models know."""


class Wanted(NamedTuple):
    """A request. `settings` are its bytes without the messages; `encrypted` is whether thinking is to be shown in
    encrypted form."""

    asked: Asked
    settings: bytes
    encrypted: bool


async def wanted(call: Call, *, stream: bool, deferred: bool = False) -> Wanted:
    """What the call asks for. Raises `InvalidInput`, `UnknownModel`, and `NotFound` for what it follows."""
    asked = read_request(call.body)
    limits = call.service.settings.limits
    check_items(len(asked.messages), limits)
    for text in (asked.response_format.schema, *(tool.function.parameters for tool in asked.tools)):
        check_depth(text.encode(), limits.depth)
    if not asked.model:
        raise InvalidInput("model: say which model is to answer")
    model = call.service.upstreams.model(asked.model)
    _check_can(model, asked)
    await _name_calls(call, asked)
    request = to_request(asked, model.provider)
    echo = kept(asked, deferred=deferred) if asked.store_messages or deferred else None
    made = _asked_of(request, echo, stream=stream, deferred=deferred)
    return Wanted(made, settings_of(asked), asked.use_encrypted_content)


async def _name_calls(call: Call, asked: Proto) -> None:
    """Let tool results that do not say which calls they answer, as the SDK's `tool_result(text)`, answer those of the
    response that the request follows, in order."""
    results = [item for item in asked.messages if item.role == ROLES["tool"] and not item.tool_call_id]
    if not asked.previous_response_id or not results or any(item.tool_calls for item in asked.messages):
        return
    path = await _path(call, turn_id(asked.previous_response_id))
    for item, waiting in zip(results, pending_calls(path.turns[-1].messages), strict=False):
        item.tool_call_id = waiting.call_id


def asked_again(upstreams: Upstreams, turn: Turn) -> Asked:
    """What a deferred completion asks, from what is stored of it. Raises as `wanted`."""
    asked = read(chat_pb2.GetCompletionsRequest, kept_settings(turn))
    model = upstreams.model(turn.model or "")
    _check_can(model, asked)
    request = msgspec.structs.replace(to_request(asked, model.provider), model=turn.model or "", messages=turn.input)
    return _asked_of(request, turn.asked, stream=True, deferred=True)


def _check_can(model: Model, asked: Proto) -> None:
    """Raise `InvalidInput` for what only a model that is asked through xAI's API could do."""
    if getattr(model, "format", None) == "xai":
        return
    for n, tool in enumerate(asked.tools):
        if (kind := tool.WhichOneof("tool")) != "function":
            raise InvalidInput(f"tools[{n}]: {kind or 'a tool of no kind'} runs at xAI, and {asked.model!r} does not")
    for field, _ in asked.ListFields():
        if field.name in _ONLY_XAI:
            raise InvalidInput(f"{field.name}: {asked.model!r} cannot do this; leave it out")


def _asked_of(request: ServerRequest, echo: str | None, *, stream: bool, deferred: bool) -> Asked:
    """What the request asks, in the words of every door. The SDK always asks for a number of choices."""
    settings, is_told_once = request.settings, deferred and not request.settings.store
    choices = settings.choices if settings.choices != 1 else None
    after = request.previous_answer
    return Asked(
        model=request.model,
        messages=request.messages,
        format="xai",
        tools=request.tools,
        settings=msgspec.structs.replace(settings, choices=choices, extra=None),
        native=settings.extra or {},
        stream=stream,
        stored=settings.store is True or deferred,
        after=turn_id(after) if after else None,
        opens=DEFERRED if is_told_once else None,
        kind=DEFERRED if is_told_once else "response",
        background=deferred,
        echo=echo,
        user=request.user,
    )


async def begun(call: Call, asked: Asked, histories: Histories) -> Replayed:
    """The exchange, its turn stored by now where it is to be. What the client says again, though it is stored, is left
    out. Raises as `Exchanges.begin` does."""
    exchanges, caller = call.service.exchanges, call.caller
    if asked.after is None and asked.settings.store:
        return await histories.begin(exchanges, asked, caller)
    path = None
    if asked.after is not None:
        path = await _path(call, asked.after, is_there=asked.stored)
        asked = msgspec.structs.replace(asked, messages=new_of(asked.messages, path))
    return Replayed(histories, await exchanges.begin(asked, caller, path=path), b"")


async def _path(call: Call, after: str, *, is_there: bool = True) -> Path:
    """What the request follows. Unless somebody else finds out whether it `is_there`, the store is asked, for a path at
    hand does not tell that its last turn was deleted. Raises `NotFound`, also for what has not ended, or has failed."""
    try:
        if not is_there:
            await call.store.turn(after)
        path = await call.service.exchanges.path(call.store, call.caller.tenant, after)
    except NotFound:
        raise NotFound("previous response", after) from None
    if not is_stored(path.turns[-1]):
        raise NotFound("previous response", after)
    return path
