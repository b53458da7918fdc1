"""Our messages as the Messages API takes them, and what becomes of that which it does not know.

- Parts become blocks, in their order; a single text is sent as a string. Text that is empty or white space is not
  sent, for the API refuses it, and neither is a message that has nothing else.
- A model's thinking goes back as it came, signed or encrypted; what it has not signed is not sent. An answer that ends
  in thinking is sent without that end, for the API refuses it.
- Neighbours of one role within a turn are one message. The results of tools come first in a user's message, all that
  answer one message together, whatever was said between. Results within an assistant's message come after it.
- A call that nothing answers is answered by an error, and a result that nobody asked for is said in words (`pairing`).
- What the system or a developer says before everything else is part of the top-level `system` (`requests`). Later words
  of theirs are said by the user in their place, within `<system>` and `</system>`; where the dialect takes role
  `system` they have it, if they stand between a user's message and an answer, as the API wants.
- Arguments of a call that are not a JSON object are sent as `{"invalid_json": …}`, those of a custom tool as
  `{"input": …}`.
- Media that cannot be shown become a note in the text, such as `[video clip.mp4, not shown]`.

Sources: https://platform.claude.com/docs/en/api/messages and the pages on tool use, extended thinking and
mid-conversation system messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.anthropic.content import block_of, plain, tool_result
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.pairing import merged, paired
from multiturn.formats.anthropic.wire import (
    Content,
    OutgoingMessage,
    PlainMessage,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
)
from multiturn.formats.switching import switched
from multiturn.messages import Message

CANNOT_CARRY: Mapping[str, str] = {
    "Text.citations": "Sent back where Anthropic made them, without file ids; others are dropped.",
    "Text.signature": "Dropped; so are its item id and phase.",
    "Text without words": "Not sent.",
    "Refusal": "Sent as text.",
    "Image.detail": "Dropped.",
    "Image of another type": "A note: it takes JPEG, PNG, GIF and WebP.",
    "Image in an answer": "A note; so is any other file: answers hold text and calls.",
    "Audio": "Its transcript, or a note; in new input, `InvalidInput`.",
    "Video": "A note; in new input, `InvalidInput`.",
    "File of text": "Sent as plain text, whichever kind of text it is.",
    "File of another type": "A note: it takes PDF and text, and pictures as images.",
    "File by address": "Sent if it may be a PDF, else a note with the address.",
    "Uploaded at another provider": "A note; in new input, `InvalidInput`.",
    "Media of the system": "A note: the system's words are text.",
    "ToolCall.arguments not an object": "Wrapped as `invalid_json`.",
    "ToolCall of a custom tool": "Sent as a call with the one argument `input`.",
    "ToolCall.signature": "Dropped, unless Anthropic made it; so is the item id.",
    "ToolCall outside an answer": "Dropped.",
    "ToolCall without a result": "Answered by an error that says so.",
    "ToolResult without a call": "Said by the user, under a line that names the call.",
    "ToolResult.name": "Dropped; the call id says which tool it was.",
    "Reasoning without a signature": "Dropped, unless the dialect's provider signs nothing.",
    "Reasoning at the end": "Dropped: an answer cannot end in thinking.",
    "Reasoning.summary": "Dropped; so is its item id.",
    "Opaque": "Dropped, unless the same provider made it in this format.",
    "Message.role developer": "As the system's.",
    "Message.role system": "The top-level `system` at the start; later said by the user, or with role `system`.",
    "Message.name": "Dropped.",
    "Message.id": "Dropped; so are usage, finish reason and metadata.",
}
"""What does not go over the wire as it is, and what becomes of it."""

SYSTEM_ROLES = ("system", "developer")
_encoder = msgspec.json.Encoder()


def encode_messages(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The messages as JSON objects joined by commas, without brackets; empty for no messages. Calls that are open at
    the end, and results at the start, are left to the turns around. Raises `InvalidInput` for text that is not
    Unicode."""
    return to_json(wire_messages(messages, dialect))


def to_json(made: Sequence[OutgoingMessage]) -> bytes:
    try:
        return _encoder.encode([_shown(message) for message in made])[1:-1]
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from error


def _shown(message: OutgoingMessage) -> OutgoingMessage | PlainMessage:
    text = plain(message.content)
    return message if text is None else PlainMessage(message.role, text)


def _not_unicode(error: UnicodeEncodeError) -> InvalidInput:
    return InvalidInput(f"a message holds half a surrogate pair, which is not Unicode text: {error}")


def wire_messages(messages: Iterable[Message], dialect: Dialect, *, last: bool = False) -> list[OutgoingMessage]:
    """The messages of one turn, neighbours merged, calls and results in pairs. `last` where nothing follows them."""
    try:
        made = [each for message in switched(messages, dialect) for each in _made(message, dialect)]
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from error
    spoken = [message for each in merged(made) if (message := _without_last_thoughts(each)).content]
    return paired(_placed(merged(spoken), last=last))


def _made(message: Message, dialect: Dialect) -> Iterator[OutgoingMessage]:
    """What this message is on the wire, before any merging; nothing where there is nothing to send."""
    blocks = (block_of(part, message, dialect) for part in message.parts)
    content = [block for block in blocks if block is not None]
    results: list[Content] = [tool_result(result) for result in message.tool_results]
    if message.role == "assistant":
        yield from _unless_empty("assistant", content)
        yield from _unless_empty("user", results)
    elif message.role in SYSTEM_ROLES:
        yield from _unless_empty("user", results)
        content = [block for block in content if isinstance(block, TextBlock)]
        role = "system" if dialect.system_role else "user"
        yield from _unless_empty(role, content if dialect.system_role else _said_by_user(content))
    else:
        yield from _unless_empty("user", [*results, *content])


def _unless_empty(role: str, content: list[Content]) -> Iterator[OutgoingMessage]:
    if content:
        yield OutgoingMessage(role, content)


def _said_by_user(words: Sequence[Content]) -> list[Content]:
    text = "\n\n".join(block.text for block in words if isinstance(block, TextBlock))
    return [TextBlock(f"<system>\n{text}\n</system>")] if text else []


def _without_last_thoughts(message: OutgoingMessage) -> OutgoingMessage:
    content = list(message.content)
    while content and isinstance(content[-1], ThinkingBlock | RedactedThinkingBlock):
        content.pop()
    return OutgoingMessage(message.role, content)


def _placed(made: list[OutgoingMessage], *, last: bool) -> list[OutgoingMessage]:
    """The same with role `system` only where the API takes it: after a user's message, before an answer or the end."""
    roles = [message.role for message in made]
    after = [*roles[1:], "assistant" if last else "user"]
    if "system" not in roles:
        return made
    placed = []
    for n, message in enumerate(made):
        fits = n > 0 and roles[n - 1] == "user" and after[n] == "assistant"
        if message.role == "system" and not fits:
            message = OutgoingMessage("user", _said_by_user(message.content))
        placed.append(message)
    return merged(placed)


def opening_words(messages: Sequence[Message]) -> int:
    """How many messages of the system or a developer come before all others."""
    count = 0
    while count < len(messages) and messages[count].role in SYSTEM_ROLES and not messages[count].tool_results:
        count += 1
    return count


def system_words(messages: Sequence[Message], dialect: Dialect) -> list[str]:
    """What these messages of the system say, a text a message."""
    texts = ["\n\n".join(_texts(message, dialect)) for message in switched(messages, dialect)]
    return [text for text in texts if text]


def _texts(message: Message, dialect: Dialect) -> Iterator[str]:
    blocks = (block_of(part, message, dialect) for part in message.parts)
    return (block.text for block in blocks if isinstance(block, TextBlock))
