"""Our messages as input items, and what becomes of that which the format does not know.

- What goes in, and what an answer said that has no item id, is a message item; its text alone is sent as one string.
- The texts and refusals of an answer that stand under one id and phase are one message item, with their annotations.
  Calls, thinking and opaque items are an item each, all in the order in which the provider gave them.
- Thinking goes back where it can be understood: encrypted, or in the clear to a dialect that wants it so, and never to
  a model that does not think. Where it cannot, the items after it in that answer are sent without their ids, and
  thinking and opaque ones not at all, since OpenAI rejects an item whose thinking is missing. Thinking that nothing
  follows is not sent either.
- Tool results are an item each, and come before what else a message says; media in them are sent in their place.
- Media that cannot be shown become a note in the text, such as `[video (video/mp4), not shown]`.
- Tool arguments are the model's own text; empty ones are sent as `{}`. What is not a JSON object is wrapped as
  `{"invalid_json": …}` for another provider than the one that wrote it, since some then fail on every later request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.responses.annotations import annotations_for
from multiturn.formats.responses.calls import call_item, sendable_arguments
from multiturn.formats.responses.content import input_content
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.grouping import Word, grouped, phase_of
from multiturn.formats.responses.wire import (
    Item,
    MessageItem,
    OutputContent,
    OutputItem,
    OutputRefusal,
    OutputText,
    ReasoningItem,
    ReasoningText,
    SummaryText,
)
from multiturn.formats.switching import in_words, switched
from multiturn.messages import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Video,
)

CANNOT_CARRY: Mapping[str, str] = {
    "Text.citations": "Sent back with the item that they stand in; left out where it has no id.",
    "Citation of other kinds": "Left out: what names neither an address nor a file. Quotes and documents too.",
    "Text.signature": "Dropped.",
    "Refusal without an id": "Its words are sent as text.",
    "Image.detail left out": "Sent as `auto`, which means the same.",
    "Image and File in an answer": "A note: assistant messages hold text only.",
    "Audio": "Its transcript, or a note.",
    "Video": "A note.",
    "File.name": "Sent with a file's bytes alone; its address or its id tell the name themselves.",
    "Uploaded at another provider": "A note; in new input, `InvalidInput`.",
    "ToolCall outside an answer": "Dropped; so is thinking.",
    "ToolResult.is_error": "Dropped: the result's text has to say it.",
    "ToolResult.name": "Dropped, as is its id; the call id says which tool it was.",
    "ToolResult of a custom call": "Told by its call where that is in the same turn, else taken for a function's.",
    "Reasoning.signature": "Dropped.",
    "Reasoning.text": "Dropped, unless the dialect takes thinking in the clear.",
    "Reasoning not encrypted": "Not sent, nor the ids after it, unless the dialect takes thinking in the clear.",
    "Reasoning to a model that has none": "Not sent, nor the ids after it.",
    "Reasoning that nothing follows": "Not sent.",
    "Opaque": "Dropped, unless the same provider made it in this format and its thinking is sent.",
    "Message.name": "Dropped; so are its id, usage, finish reason and metadata.",
}
"""What does not go over the wire as it is, and what becomes of it."""

_encoder = msgspec.json.Encoder()


def encode_messages(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The input items as JSON objects joined by commas, without brackets; empty for no messages. Raises `InvalidInput`
    for text that is not Unicode."""
    shown = switched(messages, dialect)
    custom = {call.call_id for message in shown for call in message.tool_calls if _is_custom(call, dialect)}
    items = [item for message in shown for item in _items(message, dialect, custom)]
    try:
        return _encoder.encode(items)[1:-1]
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a message holds half a surrogate pair, which is not Unicode text: {error}") from error


def _items(message: Message, dialect: Dialect, custom: set[str]) -> Iterator[Item]:
    if message.role == "assistant":
        yield from _answer(message, dialect, custom)
        return
    alone = [part for part in message.parts if isinstance(part, ToolResult | Opaque)]
    yield from (_output(part, custom) if isinstance(part, ToolResult) else part.data for part in alone)
    content = input_content(part for part in message.parts if not isinstance(part, ToolResult))
    if content or (message.role == "user" and not alone):
        yield MessageItem(_role(message, dialect), content)


def _role(message: Message, dialect: Dialect) -> str:
    if message.role == "developer" and not dialect.developer_role:
        return "system"
    return "user" if message.role == "tool" else message.role


def _output(result: ToolResult, custom: set[str]) -> OutputItem:
    is_custom = result.kind == "custom" or result.call_id in custom
    return OutputItem(
        "custom_tool_call_output" if is_custom else "function_call_output", result.call_id, input_content(result.parts)
    )


def _is_custom(call: ToolCall, dialect: Dialect) -> bool:
    return call.kind == "custom" and dialect.custom_tools


# --- answers --------------------------------------------------------------------------------------------------------


def _answer(message: Message, dialect: Dialect, custom: set[str]) -> Iterator[Item]:
    """The items of one assistant's message. Thinking waits for the item that it leads to."""
    faithful = message.origin is None or message.origin.provider == dialect.provider
    thoughts: list[Item] = []
    with_ids, lost = dialect.item_ids, False
    for group in grouped(_shown(part) for part in message.parts):
        match group:
            case Reasoning():
                lost = lost or not _goes_back(group, dialect)
                if not lost:
                    thoughts.append(_thought(group, dialect, group.id if with_ids else None))
                with_ids = with_ids and not lost and group.id is not None
                continue
            case tuple():
                item = _said(group, group[0].id if with_ids else None)
            case ToolCall():
                item = _call(group, dialect, group.id if with_ids else None, faithful=faithful)
            case ToolResult():
                item = _output(group, custom)
            case Opaque() if not lost:
                item = group.data
            case _:
                item = None
        if item is not None:
            yield from thoughts
            yield item
            thoughts = []


def _shown(part: Part) -> Part:
    return Text(in_words(part)) if isinstance(part, Image | Audio | Video | File) else part


def _goes_back(thought: Reasoning, dialect: Dialect) -> bool:
    in_the_clear = dialect.reasoning_text and (thought.text or thought.summary)
    return dialect.thinks and bool(thought.encrypted or in_the_clear)


def _thought(thought: Reasoning, dialect: Dialect, id: str | None) -> Item:
    return ReasoningItem(
        [SummaryText(text) for text in thought.summary],
        id=id,
        content=[ReasoningText(thought.text)] if thought.text and dialect.reasoning_text else None,
        encrypted_content=thought.encrypted,
    )


def _said(words: Sequence[Word], id: str | None) -> Item | None:
    if id is not None:
        contents = [_content(word) for word in words]
        return MessageItem("assistant", contents, id=id, status="completed", phase=phase_of(words))
    text = "".join(word.text for word in words)
    return MessageItem("assistant", text, phase=phase_of(words)) if text else None


def _content(word: Word) -> OutputContent:
    if isinstance(word, Refusal):
        return OutputRefusal(word.text)
    return OutputText(word.text, annotations_for(word.citations))


def _call(call: ToolCall, dialect: Dialect, id: str | None, *, faithful: bool) -> Item:
    if _is_custom(call, dialect):
        return call_item(call, call.arguments, id=id, as_custom=True)
    if call.kind == "custom":
        arguments = _encoder.encode({"input": call.arguments}).decode()
    else:
        arguments = sendable_arguments(call, faithful=faithful and not dialect.repair_arguments)
    return call_item(call, arguments, id=id, as_custom=False)
