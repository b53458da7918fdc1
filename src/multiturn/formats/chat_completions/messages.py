"""Our messages as chat completions messages, and what becomes of that which the format does not know.

- Text alone is sent as one string, its parts joined; with anything else in the message, as a list in the order given.
- A refusal, the tool calls, the audio and the thinking of an assistant have a field each, so their order is not kept.
- Each tool result is a message of its own, and holds text only. Its media follow in a user message after the last
  result of the group, each under a line that names the call; so does anything else in a message of role `tool`.
- Tool results within another role's message come before its content; within an assistant's, after it.
- A user's message without content is sent as the empty string, an assistant's or a system's not at all.
- Media that cannot be shown become a note in the text, such as `[video clip.mp4, not shown]`.
- Tool arguments are the model's own text; empty ones are sent as `{}`. What is not a JSON object is wrapped as
  `{"invalid_json": …}` for another provider than the one that wrote it, since some then fail on every later request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions.alternation import arranged
from multiturn.formats.chat_completions.content import content_of, contents_of, joined
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.wire import (
    AudioRef,
    Content,
    Custom,
    Function,
    OutgoingMessage,
    TextPart,
    ToolCallItem,
)
from multiturn.formats.switching import is_home, switched
from multiturn.messages import Audio, Message, Reasoning, Refusal, Text, ToolCall, ToolResult

CANNOT_CARRY: Mapping[str, str] = {
    "Text.citations": "Citations of earlier answers are not sent back.",
    "Text.signature": "Dropped; so are its item id and phase.",
    "Video": "A note, unless the dialect takes video.",
    "Image in an answer": "A note: assistant messages hold text only.",
    "Image.detail original": "Sent as `high`.",
    "Audio other than WAV and MP3": "Its transcript, or a note.",
    "Audio by address": "Its transcript, or a note with the address.",
    "Audio of an answer": "By its id where the same provider made it, else its transcript.",
    "File by address": "A note with the address.",
    "Image, Audio and Video uploaded": "`InvalidInput`: only files can be named by their id.",
    "Uploaded at another provider": "A note; in new input, `InvalidInput`.",
    "ToolCall.signature": "Dropped; so is the item id.",
    "ToolCall outside an answer": "Dropped.",
    "ToolResult.is_error": "Dropped: the result's text has to say it.",
    "ToolResult.name": "Dropped; the call id says which tool it was.",
    "Media of a ToolResult": "Sent in a user message after the results.",
    "Reasoning.signature": "Dropped; so are its id and encrypted content.",
    "Reasoning.text": "Dropped, unless the dialect has a field for it.",
    "Opaque": "Dropped, unless the same provider made it in this format.",
    "Message.id": "Dropped; so are usage, finish reason and metadata.",
}
"""What does not go over the wire as it is, and what becomes of it."""

_OPENINGS = {"user": b'{"role":"user","content":', "assistant": b'{"role":"assistant","content":'}
_encoder = msgspec.json.Encoder()
_bad_name = re.compile(r"[\s<|\\/>]")


def encode_messages(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The messages as JSON objects joined by commas, without brackets; empty for no messages. They stand in the order
    that the dialect insists on, as far as this call goes. Raises `InvalidInput` for an uploaded image, audio or video,
    and for text that is not Unicode."""
    if (plain := _plainly(messages, dialect)) is not None:
        return plain
    return to_json(arranged(wire_messages(messages, dialect), dialect))


def _plainly(messages: Sequence[Message], dialect: Dialect) -> bytes | None:
    """What most turns are, made quickly, for a long history that is read anew has thousands: one text of the user's,
    then one of the model's own. None for any others."""
    made, last = [], None
    for message in messages:
        role, parts = message.role, message.parts
        if len(parts) != 1 or type(part := parts[0]) is not Text or not part.text or message.name is not None:
            return None
        if role == last or role not in _OPENINGS or not is_home(message.origin, dialect):
            return None
        if role == "assistant" and dialect.reasoning_required:
            return None
        last = role
        made.append(b"%b%b}" % (_OPENINGS[role], _json(part.text)))
    return b",".join(made)


def to_json(made: Sequence[OutgoingMessage]) -> bytes:
    return _json(made)[1:-1]


def _json(value: object) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a message holds half a surrogate pair, which is not Unicode text: {error}") from error


def wire_messages(messages: Iterable[Message], dialect: Dialect) -> list[OutgoingMessage]:
    """One wire message or several for each of ours, before they are `arranged`."""
    made: list[OutgoingMessage] = []
    media: list[Content] = []  # of tool results, until the group's last result is written
    for message in switched(messages, dialect):
        results = message.tool_results
        if message.role == "assistant" or not results:
            _flush(media, made)
        if message.role == "assistant":
            made.extend(_assistant(message, dialect))
        made.extend(_tool(result, media, dialect) for result in results)
        if message.role == "tool":
            media.extend(contents_of(message, dialect))
        elif message.role != "assistant" and (len(message.parts) > len(results) or not results):
            _flush(media, made)
            made.extend(_said(message, dialect))
    _flush(media, made)
    return made


def _flush(media: list[Content], made: list[OutgoingMessage]) -> None:
    if media:
        made.append(OutgoingMessage(role="user", content=joined([*media])))
        media.clear()


# --- a message of each role -----------------------------------------------------------------------------------------


def _said(message: Message, dialect: Dialect) -> Iterable[OutgoingMessage]:
    """A system's, developer's or user's words."""
    content = joined(contents_of(message, dialect))
    if content or message.role == "user":
        role = "system" if message.role == "developer" and not dialect.developer_role else message.role
        yield OutgoingMessage(role=role, content=content, name=_name(message, dialect))


def _assistant(message: Message, dialect: Dialect) -> Iterable[OutgoingMessage]:
    made = OutgoingMessage(role="assistant", name=_name(message, dialect))
    ours = message.origin is not None and message.origin.provider == dialect.provider
    parts = []
    for part in message.parts:
        if isinstance(part, Audio) and part.id and ours:
            made.audio = AudioRef(part.id)
        elif isinstance(part, Refusal) and dialect.refusals:
            made.refusal = (made.refusal or "") + part.text or None
        else:
            parts.append(part)
    made.tool_calls = [_tool_call(call, message, dialect) for call in message.tool_calls] or None
    made.content = joined(contents_of(msgspec.structs.replace(message, parts=tuple(parts)), dialect)) or None
    if made.content or made.refusal or made.audio or made.tool_calls:
        if not (made.content or dialect.null_content):
            made.content = ""
        if dialect.reasoning_field and ((reasoning := _reasoning(message)) or dialect.reasoning_required):
            setattr(made, dialect.reasoning_field, reasoning)
        yield made


def _tool(result: ToolResult, media: list[Content], dialect: Dialect) -> OutgoingMessage:
    """The result's text; what is not text is added to `media`."""
    contents = [content_of(part, dialect, of_model=False) for part in result.parts]
    shown = [content for content in contents if content is not None and not isinstance(content, TextPart)]
    text = "".join(content.text for content in contents if isinstance(content, TextPart))
    if shown:
        media += [TextPart(f"[from tool call {result.call_id}]"), *shown]
        text = text or "[see the message after the tool results]"
    return OutgoingMessage(role="tool", content=text, tool_call_id=result.call_id)


def _tool_call(call: ToolCall, message: Message, dialect: Dialect) -> ToolCallItem:
    id = call.call_id
    if call.kind == "function":
        return ToolCallItem(id, function=Function(call.name, _arguments(call, message, dialect)))
    if dialect.custom_tools:
        return ToolCallItem(id, type="custom", custom=Custom(call.name, call.arguments))
    return ToolCallItem(id, function=Function(call.name, _encoder.encode({"input": call.arguments}).decode()))


def _arguments(call: ToolCall, message: Message, dialect: Dialect) -> str:
    text = call.arguments
    if not text.strip():
        return "{}"
    faithful = message.origin is None or message.origin.provider == dialect.provider
    if (faithful and not dialect.repair_arguments) or _is_json_object(text):
        return text
    return _encoder.encode({"invalid_json": text}).decode()


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _name(message: Message, dialect: Dialect) -> str | None:
    return _bad_name.sub("_", message.name)[:64] if message.name and dialect.names else None


def _reasoning(message: Message) -> str:
    thoughts = (part.text or "\n".join(part.summary) for part in message.parts if isinstance(part, Reasoning))
    return "\n\n".join(thought for thought in thoughts if thought)
