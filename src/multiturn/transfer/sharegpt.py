"""ShareGPT: a conversation as a list of who said what, a list of them in one file, or one a line. We write one a line.

    {"id":"…","conversations":[{"from":"system","value":"…"},{"from":"human","value":"…"},{"from":"gpt","value":"…"}]}

Tools are as LLaMA-Factory has them: a `function_call` is the JSON of a name and arguments, or of a list of these, and
an `observation` what came of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, Final

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.messages import wire_messages
from multiturn.formats.chat_completions.wire import OutgoingMessage, TextPart, ToolCallItem
from multiturn.messages import Message, Part, ToolCall, assistant, system, tool_result, user
from multiturn.stores.records import ConversationRecord
from multiturn.transfer import exchanges
from multiturn.transfer.base import Tree
from multiturn.transfer.finetuning import DIALECT, sayable
from multiturn.transfer.pieces import bad_line, objects

LOSSLESS = False
LOSES = (
    "This format holds the words said up to the head of each conversation, and the instructions there; not images, "
    "audio or files, of which a note stays, nor times, users, metadata, models, usage, reasoning, citations, the ids "
    "of tool calls, or turns aside."
)

_FROM: Final = {"system": "system", "developer": "system", "user": "human", "tool": "observation"}
_ROLES: Final = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "function_call"),
    **dict.fromkeys(("observation", "tool", "function_response", "tool_response"), "observation"),
    "system": "system",
}


class _Said(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    value: str | None = None


class _Sample(msgspec.Struct, omit_defaults=True):
    conversations: list[_Said]
    id: str | int | None = None
    system: str | None = None


class _Call(msgspec.Struct):
    name: str
    arguments: Any = msgspec.field(default_factory=dict)


_encode = msgspec.json.Encoder().encode
_sample = msgspec.json.Decoder(_Sample)
_calls = msgspec.json.Decoder(_Call | list[_Call])


# --- writing --------------------------------------------------------------------------------------------------------


async def write(trees: AsyncGenerator[Tree, None]) -> AsyncGenerator[bytes, None]:
    async for tree in trees:
        for record in tree.records:
            if record.head is not None:
                yield _line(tree, record)


def _line(tree: Tree, record: ConversationRecord) -> bytes:
    said = [
        {"from": who, "value": value}
        for message in wire_messages(sayable(tree.said(record)), DIALECT)
        for who, value in _values(message)
    ]
    return _encode({"id": record.id, "conversations": said}) + b"\n"


def _values(message: OutgoingMessage) -> Iterator[tuple[str, str]]:
    text = _text(message)
    if text or not message.tool_calls:
        yield _FROM.get(message.role, "gpt"), text
    if message.tool_calls:
        calls = [_call(call) for call in message.tool_calls]
        yield "function_call", _encode(calls[0] if len(calls) == 1 else calls).decode()


def _text(message: OutgoingMessage) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    return "\n".join(
        item.text if isinstance(item, TextPart) else f"[{type(item).__name__.removesuffix('Part').lower()}, not shown]"
        for item in message.content
    )


def _call(call: ToolCallItem) -> _Call:
    assert not isinstance(call.function, msgspec.UnsetType)  # `DIALECT` has no other
    return _Call(call.function.name, msgspec.Raw(call.function.arguments.encode()))


# --- reading --------------------------------------------------------------------------------------------------------


def read(pieces: Iterable[bytes]) -> Iterator[Tree]:
    for number, data in objects(pieces):
        try:
            sample = _sample.decode(data)
            messages = _messages(sample)
        except (InvalidInput, msgspec.ValidationError) as error:
            raise bad_line(number, str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_line(number, f"this is not valid JSON: {error}") from error
        id = None if sample.id in (None, "") else str(sample.id)
        yield exchanges.conversation(messages, id=id, line=number)


def _messages(sample: _Sample) -> list[Message]:
    made = [system(sample.system)] if sample.system else []
    waiting: list[ToolCall] = []  # for their results
    for place, said in enumerate(sample.conversations):
        text = said.value or ""
        match _ROLES.get(said.from_):
            case "system":
                made.append(system(text))
            case "user":
                made.append(user(text))
            case "assistant":
                made.append(assistant(text))
            case "function_call":
                waiting = _read_calls(text, place)
                made.append(assistant(*_taken_back(made), *waiting))
            case "observation":
                made.append(tool_result(waiting.pop(0).call_id, text) if waiting else user(text))
            case _:
                raise InvalidInput(f"conversations[{place}].from: {said.from_!r} is none of {', '.join(_ROLES)}")
    return made


def _taken_back(made: list[Message]) -> tuple[Part, ...]:
    """What the model said just before it called, for that is one message."""
    return made.pop().parts if made and made[-1].role == "assistant" else ()


def _read_calls(text: str, place: int) -> list[ToolCall]:
    try:
        found = _calls.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"conversations[{place}].value: this is no function call: {error}") from error
    calls = found if isinstance(found, list) else [found]
    return [
        ToolCall(
            call_id=f"call_{place}_{number}",
            name=call.name,
            arguments=call.arguments if isinstance(call.arguments, str) else _encode(call.arguments).decode(),
        )
        for number, call in enumerate(calls)
    ]
