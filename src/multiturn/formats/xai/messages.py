"""Our messages as xAI's, and what becomes of that which they do not know.

- Text alone is sent as one item of content; with anything else in the message, as a list in the order given. A message
  without content is sent with an empty text, for xAI rejects one without any item; an assistant's or a system's is
  not sent at all.
- What an assistant said is one message as long as it comes in the order thinking, text, tool calls; what comes out of
  that order begins another. So an answer that xAI gave in several outputs goes back as these outputs.
- A server-side tool's call and output go back as they came, byte for byte.
- Each tool result is a message of its own, and holds text only. Its media follow in a user message after the last
  result of the group, each under a line that names the call; so does anything else in a message of role `tool`.
- Tool results within another role's message come before its content; within an assistant's, after it.
- Tool arguments are the model's own text; empty ones are sent as `{}`. What is not a JSON object is wrapped as
  `{"invalid_json": …}`, unless xAI's own model wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.switching import switched
from multiturn.formats.xai.content import content_of, contents_of, joined, text_content
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.wire import (
    COMPLETED,
    ROLES,
    WHOLE_MESSAGES,
    Proto,
    chat_pb2,
    dumps,
    from_opaque,
)
from multiturn.messages import Message, Opaque, Part, Reasoning, ToolCall, ToolResult

CANNOT_CARRY: Mapping[str, str] = {
    "Text.citations": "Citations of earlier answers are not sent back.",
    "Text.signature": "Dropped; so are its item id and phase.",
    "Refusal": "Sent as text.",
    "Audio and Video": "Its transcript or a note; in new input, `InvalidInput`.",
    "Image and File in an answer": "A note: what a model said is text.",
    "Image.detail original": "Sent as `high`; none at all as `auto`.",
    "Image uploaded": "`InvalidInput`: only files can be named by their id.",
    "Uploaded at another provider": "A note; in new input, `InvalidInput`.",
    "File.name of an uploaded file": "Dropped; its provider knows the name.",
    "Url.media_type of an image": "Dropped.",
    "Message.name of others than users": "Dropped.",
    "ToolCall.kind custom": "A function with the one argument `input`.",
    "ToolCall.signature": "Dropped; so is the item id.",
    "ToolCall outside an answer": "Dropped.",
    "ToolResult.is_error": "Dropped: the result's text has to say it.",
    "ToolResult.name": "Dropped; the call id says which tool it was.",
    "Media of a ToolResult": "Sent in a user message after the results.",
    "Reasoning.summary": "Sent as its text, where it has none.",
    "Reasoning.signature": "Dropped; so is its id.",
    "Reasoning outside an answer": "Dropped.",
    "Opaque": "Dropped, unless the same provider made it in this format.",
    "Message.id": "Names the answer to go on from; usage, finish reason and metadata are dropped.",
}
"""What does not go over the wire as it is, and what becomes of it."""

_encoder = msgspec.json.Encoder()


def encode_messages(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The messages as `messages` fields of a request, one after another; empty for no messages. Raises `InvalidInput`
    for an uploaded image, and for text that is not Unicode."""
    try:
        return to_fields(wire_messages(messages, dialect))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a message holds half a surrogate pair, which is not Unicode text: {error}") from error


def to_fields(made: Iterable[Proto]) -> bytes:
    return dumps(chat_pb2.GetCompletionsRequest(messages=made))


def wire_messages(messages: Iterable[Message], dialect: Dialect) -> list[Proto]:
    """One wire message or several for each of ours."""
    made: list[Proto] = []
    media: list[Proto] = []  # of tool results, until the group's last result is written
    for message in switched(messages, dialect):
        results = message.tool_results
        if message.role == "assistant" or not results:
            _flush(media, made)
        if message.role == "assistant":
            made.extend(said_by_model(message, dialect))
        made.extend(_tool(result, media) for result in results)
        if message.role == "tool":
            media.extend(contents_of(message))
        elif message.role != "assistant" and (len(message.parts) > len(results) or not results):
            _flush(media, made)
            made.extend(_said(message))
    _flush(media, made)
    return made


def _flush(media: list[Proto], made: list[Proto]) -> None:
    if media:
        made.append(chat_pb2.Message(role=chat_pb2.ROLE_USER, content=joined(media)))
        media.clear()


def _said(message: Message) -> Iterator[Proto]:
    """A system's, developer's or user's words."""
    for part in message.parts:
        if isinstance(part, Opaque) and part.kind in WHOLE_MESSAGES:
            yield from_opaque(part)
    contents = contents_of(message)
    user = message.role == "user"
    if contents or (user and not any(isinstance(part, Opaque) for part in message.parts)):
        yield chat_pb2.Message(
            role=ROLES[message.role], content=joined(contents), name=message.name or "" if user else ""
        )


def _tool(result: ToolResult, media: list[Proto]) -> Proto:
    """The result's text; what is not text is added to `media`."""
    contents = [content for part in result.parts if (content := content_of(part, of_model=False)) is not None]
    shown = [content for content in contents if not content.HasField("text")]
    text = "".join(content.text for content in contents if content.HasField("text"))
    if shown:
        media += [text_content(f"[from tool call {result.call_id}]"), *shown]
        text = text or "[see the message after the tool results]"
    return chat_pb2.Message(role=chat_pb2.ROLE_TOOL, content=[text_content(text)], tool_call_id=result.call_id)


# --- what a model said ----------------------------------------------------------------------------------------------


def said_by_model(message: Message, dialect: Dialect) -> list[Proto]:
    """The message as one wire message or several; none if there is nothing in it."""
    made: list[Proto] = []
    at = _END
    for part in message.parts:
        if isinstance(part, Opaque) and part.kind in WHOLE_MESSAGES:
            made.append(from_opaque(part))
            at = _END
            continue
        place = _place(part)
        if place is None:
            continue
        if place < at or place == at == _THINKING:
            made.append(chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT))
        at = place
        _add(part, made[-1], message, dialect)
    for wire in made:
        if wire.role == chat_pb2.ROLE_ASSISTANT:
            contents = joined(list(wire.content))
            del wire.content[:]
            wire.content.extend(contents)
    return made


_THINKING, _TEXT, _CALLS, _END = range(4)
"""The order of what is in one message."""


def _place(part: Part) -> int | None:
    """Where in a message the part stands; None if it is not sent there."""
    match part:
        case Reasoning(text="", summary=(), encrypted=None) | ToolResult():
            return None
        case Reasoning():
            return _THINKING
        case ToolCall() | Opaque():
            return _CALLS
    return None if content_of(part, of_model=True) is None else _TEXT


def _add(part: Part, wire: Proto, message: Message, dialect: Dialect) -> None:
    match part:
        case Reasoning():
            if shown := part.text or "\n".join(part.summary):
                wire.reasoning_content = shown
            wire.encrypted_content = part.encrypted or ""
        case ToolCall():
            wire.tool_calls.append(_call(part, message, dialect))
        case Opaque():
            wire.tool_calls.append(from_opaque(part))
        case _:
            wire.content.append(content_of(part, of_model=True))


def _call(call: ToolCall, message: Message, dialect: Dialect) -> Proto:
    arguments = call.arguments
    if call.kind == "custom":
        arguments = _encoder.encode({"input": arguments}).decode()
    elif not arguments.strip():
        arguments = "{}"
    elif not (_is_own(message, dialect) or _is_json_object(arguments)):
        arguments = _encoder.encode({"invalid_json": arguments}).decode()
    return chat_pb2.ToolCall(
        id=call.call_id,
        type=chat_pb2.TOOL_CALL_TYPE_CLIENT_SIDE_TOOL,
        status=COMPLETED,
        function=chat_pb2.FunctionCall(name=call.name, arguments=arguments),
    )


def _is_own(message: Message, dialect: Dialect) -> bool:
    return message.origin is None or message.origin.provider == dialect.provider


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
