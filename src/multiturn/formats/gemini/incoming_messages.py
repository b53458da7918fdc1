"""As a server: a client's contents as our messages. Also for whoever holds them as dicts or as the SDK's objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.decoding import encode_items, read_request
from multiturn.formats.gemini.calls import SKIP, with_id
from multiturn.formats.gemini.media import media_of
from multiturn.formats.gemini.readings import origin_of, parts_of
from multiturn.formats.gemini.spelling import camel_case
from multiturn.formats.gemini.wire import PART, ReadContent, ReadPart, ReadResponse
from multiturn.messages import Message, Opaque, Part, Text, ToolCall, ToolResult

_CONTENTS = msgspec.json.Decoder(list[ReadContent])


def decode_messages(items: Sequence[Mapping[str, object]], *, provider: str = "gemini") -> tuple[Message, ...]:
    """Our messages for Gemini's contents: dicts, or the Google SDK's own `Content` objects among them. `items` is only
    read. `provider` is whose files and signatures may be in them. Raises `InvalidInput`, whose message begins with the
    place: `contents[2].role: …`."""
    data = camel_case(encode_items(items, "contents", mode="json", by_alias=True))
    found = read_request(_CONTENTS, data, "contents")
    return to_messages(found, provider)


def to_messages(contents: Sequence[ReadContent], provider: str) -> tuple[Message, ...]:
    """A content of the user's is two messages where it holds results: these, and what else is said."""
    made: list[Message] = []
    for n, content in enumerate(contents):
        place = f"contents[{n}]"
        if not content.parts:
            raise InvalidInput(f"{place}.parts: there must be at least one")
        if content.role == "model":
            made.append(_answer(content, place, provider))
        elif content.role in ("user", "function", None):
            waiting = list(made[-1].tool_calls) if made else []
            made += _said(content, waiting, place, provider)
        else:
            raise InvalidInput(f"{place}.role: {content.role!r} is none of user, model")
    return tuple(made)


def _answer(content: ReadContent, place: str, provider: str) -> Message:
    parts = [part for read, raw in _read(content, place) for part in parts_of(read, raw, provider)]
    theirs = any(getattr(part, "signature", None) not in (None, SKIP) for part in parts)
    calls = 0
    for n, part in enumerate(parts):
        if isinstance(part, ToolCall):
            # the dummy says that Gemini did not make the call; the client's own provider need not be told
            signature = part.signature if theirs or part.signature != SKIP else None
            call = with_id(part, position=calls, answer=place)
            parts[n] = msgspec.structs.replace(call, signature=signature)
            calls += 1
    # signatures and opaque parts mean something to one provider only, and a message says by its origin to which
    scoped = theirs or any(isinstance(part, Opaque) for part in parts)
    return Message(role="assistant", parts=tuple(parts), origin=origin_of(None, provider) if scoped else None)


def _said(content: ReadContent, waiting: list[ToolCall], place: str, provider: str) -> Iterator[Message]:
    """`waiting` are the calls that these results may answer."""
    results: list[Part] = []
    others: list[Part] = []
    for read, raw in _read(content, place):
        if read.function_response is not None:
            results.append(_result(read.function_response, waiting, place, provider))
        else:
            others += parts_of(read, raw, provider)
    if results:
        yield Message(role="tool", parts=tuple(results))
    if others:
        yield Message(role="user", parts=tuple(others))


def _read(content: ReadContent, place: str) -> Iterator[tuple[ReadPart, msgspec.Raw]]:
    for n, raw in enumerate(content.parts or ()):
        yield read_request(PART, bytes(raw), f"{place}.parts[{n}]"), raw


def _result(response: ReadResponse, waiting: list[ToolCall], place: str, provider: str) -> ToolResult:
    if not response.name:
        raise InvalidInput(f"{place}.parts: a functionResponse needs the name of its function")
    call_id = response.id or _call_id(response.name, waiting)
    waiting[:] = (call for call in waiting if call.call_id != call_id)
    text, is_error = _text(bytes(response.response) or b"{}")
    shown = [media for part in response.parts or () if (media := media_of(part, provider)) is not None]
    parts = ((Text(text=text),) if text else ()) + tuple(shown)
    return ToolResult(call_id=call_id, parts=parts, name=response.name, is_error=is_error)


def _call_id(name: str, waiting: Sequence[ToolCall]) -> str:
    """The id of the call that a response without one answers: the first that waits under its name."""
    call = next((call for call in waiting if call.name == name), ToolCall("", name))
    return with_id(call, position=0, answer="").call_id


def _text(response: bytes) -> tuple[str, bool]:
    """A result's text, and whether it is an error; the keys are those under which Google's SDK documents them."""
    match msgspec.json.decode(response):
        case {"output": str(text), **rest} if not rest:
            return text, False
        case {"error": str(text), **rest} if not rest:
            return text, True
    return response.decode(), False
