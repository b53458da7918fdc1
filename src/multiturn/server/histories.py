"""`Histories`: which turn a request goes on from whose client sends the whole conversation each time.

What was said up to a stored answer has a digest, of all that a client repeats of it whatever its API: roles, words,
media, tool calls and their results. A request whose first messages have one of these digests follows that turn, and
only what comes after them is new. Digests are kept in memory, the last used ones, and in the store, which is asked
where memory has none, as after a restart. A history that is not known is stored once more, and known from then on.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from multiturn.errors import NotFound
from multiturn.formats.decoding import UNREADABLE
from multiturn.messages import Audio, File, Image, Message, Part, Refusal, Text, ToolCall, ToolResult, Video
from multiturn.server.auth import Caller
from multiturn.server.exchange import Asked, Exchange, Exchanges
from multiturn.stores.base import Store
from multiturn.turns import continues

MOST_KEPT = 100_000
"""How many digests are kept in memory; one takes about 300 bytes."""
_MOST_ASKED = 32
"""How many answers of a history the store is asked for, from the last one back."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Histories:
    """The turns that end what was said, by tenant and digest. Two turns of which the same can be told are as good as
    each other; the later one is kept."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._turns: OrderedDict[tuple[str, bytes], str] = OrderedDict()

    async def begin(self, exchanges: Exchanges, asked: Asked, caller: Caller) -> Replayed:
        """The exchange of a request that holds all that was said. Raises as `Exchanges.begin` does."""
        if not asked.stored:
            return Replayed(self, await exchanges.begin(asked, caller))
        digests, store = list(_digests(asked.messages)), exchanges.store.tenant(caller.tenant)
        if (found := await self._find(store, caller.tenant, asked.messages, digests)) is not None:
            count, turn_id = found
            try:
                going_on = msgspec.structs.replace(asked, after=turn_id, messages=asked.messages[count:])
                return Replayed(self, await exchanges.begin(going_on, caller), digests[-1], store)
            except NotFound:  # it was deleted
                self._turns.pop((caller.tenant, digests[count - 1]), None)
        return Replayed(self, await exchanges.begin(asked, caller), digests[-1], store)

    def keep(self, tenant: str, digest: bytes, turn_id: str) -> None:
        """Let the turn be found by what was said up to its end."""
        self._turns[tenant, digest] = turn_id
        self._turns.move_to_end((tenant, digest))
        if len(self._turns) > self._most:
            self._turns.popitem(last=False)

    async def _find(
        self, store: Store, tenant: str, messages: Sequence[Message], digests: Sequence[bytes]
    ) -> tuple[int, str] | None:
        """How many of the messages are known, and the turn that ends with them. At least one message is new. The store
        is asked for what ends with an answer, where memory knows less than that."""
        known = self._remembered(tenant, digests[:-1])
        least = known[0] if known else 0
        ends = [digests[n] for n in range(len(messages) - 2, least - 1, -1) if messages[n].role == "assistant"]
        noted = await store.noted(ends[:_MOST_ASKED]) if ends else None
        if noted is None:
            return known
        self.keep(tenant, *noted)
        return digests.index(noted[0]) + 1, noted[1]

    def _remembered(self, tenant: str, digests: Sequence[bytes]) -> tuple[int, str] | None:
        for count in range(len(digests), 0, -1):
            turn_id = self._turns.get((tenant, digests[count - 1]))
            if turn_id is not None:
                self._turns.move_to_end((tenant, digests[count - 1]))
                return count, turn_id
        return None


class Replayed:
    """An exchange, and the digest of what its request has said in all, with the store that is to know it; nothing where
    nobody is to find it."""

    def __init__(
        self, histories: Histories, exchange: Exchange, digest: bytes = b"", store: Store | None = None
    ) -> None:
        self.exchange = exchange
        self._histories = histories
        self._digest = digest
        self._store = store

    def keep(self) -> None:
        """Once the exchange has ended: let the next request find its turn."""
        turn = self.exchange.turn
        if self._store is not None and continues(turn):
            *_, digest = _digests(turn.output, self._digest)
            self._histories.keep(self.exchange.caller.tenant, digest, turn.id)
            self._store.note(turn.id, digest)


# --- digests --------------------------------------------------------------------------------------------------------


def _digests(messages: Iterable[Message], digest: bytes = b"") -> Iterator[bytes]:
    """The digest after each message, of it and all before it; `digest` is that of what came before these."""
    for message in messages:
        digest = hashlib.blake2b(digest + _encode(_repeated(message)), digest_size=16).digest()
        yield digest


def _repeated(message: Message) -> list[object]:
    """What a client repeats of a message; of an answer its words, its refusal and its calls, each for itself."""
    parts = message.parts
    if message.role != "assistant":
        return [message.role, message.name, *_contents(parts)]
    words = "".join(part.text for part in parts if isinstance(part, Text))
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    return ["assistant", words, refusal, *map(_call, message.tool_calls)]


def _contents(parts: Iterable[Part]) -> Iterator[object]:
    """The content, texts that follow each other as one. What became of a call when it was matched is left out."""
    words = ""
    for part in parts:
        if isinstance(part, Text):
            words += part.text
            continue
        if words:
            yield words
        words = ""
        match part:
            case ToolResult(call_id=call_id, parts=shown):
                yield ["result", call_id, *_contents(shown)]
            case Image() | Audio() | Video() | File():
                yield part
    if words:
        yield words


def _call(call: ToolCall) -> list[str]:
    """A call. Some clients parse its arguments and write them anew."""
    arguments = call.arguments
    if call.kind == "function":
        with suppress(*UNREADABLE, RecursionError):
            arguments = _encode(_decode(arguments or "{}")).decode()
    return [call.kind, call.call_id, call.name, arguments]
