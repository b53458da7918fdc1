"""As a server: the messages of a stored completion, as its list of messages shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from multiturn.formats.chat_completions.content import content_of
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.replies import message_fields
from multiturn.formats.chat_completions.wire import Content, TextPart
from multiturn.formats.switching import in_words
from multiturn.messages import Audio, File, Image, Message, Part, Refusal, Text, Uploaded, Video

_DIALECT = Dialect(video=True)


def stored_messages(messages: Iterable[Message], id: str) -> list[dict[str, Any]]:
    """The messages as items of such a list, one for each message and for each tool's result. Their ids are `id` and
    their place, as in platform.openai.com/docs/api-reference/chat/getMessages."""
    items = (item for message in messages for item in _items(message))
    return [{"id": f"{id}-{n}", **item} for n, item in enumerate(items)]


def _items(message: Message) -> Iterator[dict[str, Any]]:
    for result in message.tool_results:
        yield {"role": "tool", "tool_call_id": result.call_id, "name": result.name, **_content(result.parts)}
    if message.role == "assistant":
        empty = {"content": None, "refusal": None, "content_parts": None}
        yield {"role": "assistant", "name": message.name, **empty, **message_fields(message.parts)}
    elif not message.tool_results or len(message.parts) > len(message.tool_results):
        yield {"role": message.role, "name": message.name, **_content(message.parts)}


def _content(parts: Iterable[Part]) -> dict[str, Any]:
    """The text, and all of the content where that is more than text."""
    shown = [content for part in parts if (content := _shown(part)) is not None]
    texts = [content.text for content in shown if isinstance(content, TextPart)]
    return {"content": "".join(texts), "content_parts": shown if len(texts) < len(shown) else None}


def _shown(part: Part) -> Content | None:
    """One item of the content. What this API can only tell in words is told so: a list holds text and pictures."""
    match part:
        case Image(source=Uploaded()):
            return TextPart(in_words(part))
        case Text() | Refusal() | Image():
            return content_of(part, _DIALECT, of_model=False)
        case Audio() | Video() | File():
            return TextPart(in_words(part))
    return None
