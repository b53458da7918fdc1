"""`POST /v1/responses/compact`: a shorter history in the place of a long one; and `/v1/responses/input_tokens`: how
long it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from msgspec import Raw
from starlette.types import ASGIApp

from multiturn.context.frame import Fitted, Frame, condensed
from multiturn.context.framing import Framing
from multiturn.context.history import exchanges as exchanges_of
from multiturn.context.summary import WORDS
from multiturn.context.view import SUMMARY_ENDS, SUMMARY_OPENS
from multiturn.deltas import Answer
from multiturn.errors import InvalidInput
from multiturn.formats.responses import ServerRequest, encode_items
from multiturn.formats.responses.compaction import as_compaction
from multiturn.formats.responses.served import usage_fields
from multiturn.messages import Message, Text, user
from multiturn.path import Path
from multiturn.request import Request
from multiturn.runs import Ended, Item, Run
from multiturn.server.doors import Call, json, while_there
from multiturn.server.exchange import Exchange
from multiturn.server.responses.asking import asked_of, decoded, fitted, path_of, read
from multiturn.server.responses.items import items_of
from multiturn.server.responses.shown import response_id
from multiturn.turns import Mark, TurnStatus


async def compact(call: Call) -> ASGIApp:
    """The user's messages, and one item that stands for all the rest. A later request carries these items in its input,
    or goes on from this response's id, which is stored for that."""
    request, before = await _read(call)
    if request.conversation is not None:
        raise InvalidInput("conversation: it is compacted by a response of its own; give the last previous_response_id")
    if not (request.messages or before.messages):
        raise InvalidInput("input: there is nothing to compact")
    exchanges = call.service.exchanges
    exchange = await exchanges.begin(asked_of(request), call.caller, path=before)
    exchange.run = _Condensing(exchange, exchanges.framing(truncates=True))
    turn = await while_there(call.request.receive, exchange.ended())
    said = msgspec.structs.replace(turn, output=())
    kept = [*_said_by_user(before), *_said_by_user(Path((said,)))]
    last = encode_items(turn.output, response_id=response_id(turn.id))
    fields = {
        "id": response_id(turn.id),
        "object": "response.compaction",
        "created_at": int(turn.created_at),
        "output": [Raw(item) for item in (*kept, *last)],
        "usage": usage_fields(turn.usage),
    }
    return json(msgspec.json.encode(fields))


class _Condensing(Run):
    """A run after which a model is shown the summary of what came before it, and nothing else of that."""

    def __init__(self, exchange: Exchange, framing: Framing) -> None:
        asked, before = exchange.asked, exchange.path
        path = Path((*before.turns, *exchanges_of(exchange.turn.input)))
        wish = Request(path=path, input=(user(WORDS),), instructions=asked.instructions, tools=asked.tools)
        super().__init__(exchange.model, wish)
        self._wish, self._framing = wish, framing
        self._mark = Mark(len(before.turns) + 1, removed=before.mark.removed)

    async def items(self) -> AsyncGenerator[Item, None]:
        """As `Run.items` says."""
        answer = await condensed(self._framing, self._model, self._wish.path, self._wish)
        summary = answer.text.strip()
        yield Fitted(self._wish, mark=msgspec.structs.replace(self._mark, summary=summary))
        text = Text(f"{SUMMARY_OPENS}{summary}{SUMMARY_ENDS}")
        yield Ended(TurnStatus.COMPLETED, Answer(as_compaction(msgspec.structs.replace(answer, parts=(text,)))))


def _said_by_user(path: Path) -> list[bytes]:
    """The items of what users have said on this path, oldest first."""
    gone = frozenset(path.mark.removed)
    items = ((turn, item) for turn in path.turns for item in items_of(turn) if item.at not in gone)
    return [item.json for turn, item in items if _is_users(turn.messages[item.at.message])]


def _is_users(message: Message) -> bool:
    return message.role == "user" and message.metadata is None


async def input_tokens(call: Call) -> ASGIApp:
    """How many tokens the model would read, by its provider's own count as far as that is known."""
    request, before = await _read(call)
    model = call.service.upstreams.model(request.model or "")
    request, _ = fitted(request, model)
    wish = Request(
        path=before,
        input=request.messages,
        instructions=request.instructions,
        tools=request.tools,
        settings=request.settings,
    )
    cuts = request.truncation == "auto"
    frame = Frame(call.service.exchanges.framing(truncates=cuts), model, before, before.mark)
    if cuts:
        await frame.fit(wish)
    return json(msgspec.json.encode({"object": "response.input_tokens", "input_tokens": frame.total(wish)}))


async def _read(call: Call) -> tuple[ServerRequest, Path]:
    """The request, and what it follows."""
    body = await call.body()
    request = decoded(call, body)
    before = await path_of(call, request)
    return await read(call, body, request, before), before
