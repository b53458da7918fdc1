"""As a server: our messages as items of a response. Every item has an id of ours (`item_ids`), and is whole: a provider
sees its own ids again only in what is opaque.

- Texts and refusals in a row under one id and phase of their provider are one message; neighbours of one kind are one
  content.
- A picture that a model made is an `image_generation_call`; other media in an answer are told in words.
- Opaque items are shown as they are, where they are items of this API.
- Encrypted thinking is shown to those who ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from multiturn.formats.responses.annotations import annotations_for
from multiturn.formats.responses.calls import call_item
from multiturn.formats.responses.compaction import is_compaction, sealed
from multiturn.formats.responses.content import input_content
from multiturn.formats.responses.grouping import Word, grouped, phase_of
from multiturn.formats.responses.item_ids import Side, item_id
from multiturn.formats.responses.wire import FIELDS, KIND, InputText
from multiturn.formats.switching import in_words
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
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

Json: TypeAlias = dict[str, Any]
Group: TypeAlias = tuple[Word, ...] | Part | Message
"""What one item holds: of an answer, as `grouped` has it."""

_ITEMS = frozenset(
    ("mcp_list_tools", "mcp_approval_request", "compaction", "tool_search_output", "program", "program_output")
)
PICTURES = {f"image/{name}": name for name in ("png", "jpeg", "webp", "gif")}
"""The media types of pictures that a model may have made, and what they are called here."""
PHASES = ("commentary", "final_answer")
"""The phases of an answer's words that there are."""

_REASONS = {"length": "max_output_tokens", "max_tokens": "max_output_tokens", "content_filter": "content_filter"}
_encoder = msgspec.json.Encoder()
_PLAIN = (
    b'{"id":"%s","type":"message","status":"completed","role":"assistant",'
    b'"content":[{"type":"output_text","text":%s,"annotations":[],"logprobs":[]}]}'
)


def encode_items(
    messages: Sequence[Message],
    *,
    response_id: str,
    side: Side = "output",
    first: int = 0,
    encrypted: bool = True,
    whole: bool = True,
) -> list[bytes]:
    """The items that show these messages, of all roles, as JSON. They are the input or the output of this response,
    from its item number `first` on. `encrypted` says whether encrypted thinking is shown; `whole` whether the last item
    has come to its end, as far as it does not tell itself."""
    custom = {call.call_id for message in messages for call in message.tool_calls if call.kind == "custom"}
    items: list[bytes] = []
    for message in messages:
        if whole and (plain := _plainly(message, item_id("msg", response_id, side, first + len(items)))) is not None:
            items.append(plain)
            continue
        groups = list(groups_of(message, encrypted=encrypted))
        is_cut = reason_of(message) is not None or (message is messages[-1] and not whole)
        for group in groups:
            id = item_id(prefix_of(group), response_id, side, first + len(items))
            cut = is_cut and group is groups[-1]
            item = item_of(group, id, status="incomplete" if cut else "completed", custom=custom)
            items.append(_encoder.encode(item))
    return items


def _plainly(message: Message, id: str) -> bytes | None:
    """What most answers are, made quickly: a text, and all of it. None for any other."""
    if message.role != "assistant" or len(message.parts) != 1 or (message.finish_reason or "") in _REASONS:
        return None
    if is_compaction(message):
        return None
    (part,) = message.parts
    if type(part) is not Text or not part.text or part.citations or phase_of((part,)) is not None:
        return None
    return _PLAIN % (id.encode(), _encoder.encode(part.text))


def reason_of(message: Message | None) -> str | None:
    """Why an answer is incomplete, in the words of this API; None if it is whole."""
    return None if message is None else _REASONS.get(message.finish_reason or "")


def groups_of(message: Message, *, encrypted: bool = True) -> Iterator[Group]:
    """What makes an item each. Of a message that is no answer: its results and opaque items, then the rest of it, as a
    message."""
    if is_compaction(message):
        yield message
        return
    if message.role == "assistant":
        parts = (shown(part, encrypted=encrypted) for part in message.parts)
        yield from grouped(part for part in parts if part is not None)
        return
    yield from (part for part in message.parts if isinstance(part, ToolResult) or is_item(part))
    if any(not isinstance(part, ToolResult | Opaque) for part in message.parts) or not message.parts:
        yield message


def places_of(message: Message) -> list[tuple[int, ...]]:
    """For each of its items, which parts of the message stand in it."""
    if is_compaction(message):
        return [tuple(range(len(message.parts)))]
    places: list[tuple[int, ...]] = []
    if message.role == "assistant":
        seen = [n for n, part in enumerate(message.parts) if shown(part) is not None]
        for group in groups_of(message):
            count = len(group) if isinstance(group, tuple) else 1
            places.append(tuple(seen[:count]))
            del seen[:count]
        return places
    alone = [n for n, part in enumerate(message.parts) if isinstance(part, ToolResult) or is_item(part)]
    places = [(n,) for n in alone]
    if len(list(groups_of(message))) > len(alone):
        places.append(tuple(n for n in range(len(message.parts)) if n not in alone))
    return places


def shown(part: Part, *, encrypted: bool = True) -> Part | None:
    """The part as an answer shows it; None for what has no place in one."""
    match part:
        case Reasoning(encrypted=str()) if not encrypted:
            return msgspec.structs.replace(part, encrypted=None)
        case Image(source=Inline(media_type=media_type)) if media_type in PICTURES:
            return part
        case Image() | Audio() | Video() | File():
            return Text(in_words(part))
        case Opaque():
            return part if is_item(part) else None
        case Text(text="") | Refusal(text=""):
            return None
    return part


def is_item(part: Part) -> bool:
    """Whether this is an opaque item of this API, and not another one's."""
    if not isinstance(part, Opaque) or part.kind is None:
        return False
    return part.kind in _ITEMS or part.kind.endswith(("_call", "_call_output"))


def prefix_of(group: Group) -> str:
    """What the id of its item begins with."""
    match group:
        case Reasoning():
            return "rs"
        case ToolCall(kind=kind):
            return "ctc" if kind == "custom" else "fc"
        case ToolResult():
            return "fco"
        case Image():
            return "ig"
        case Message() if is_compaction(group):
            return "cmp"
    return "msg"


def item_of(group: Group, id: str, *, status: str = "completed", custom: Iterable[str] = ()) -> Json | Raw:
    """The item of this group. `custom` are the ids of the calls of custom tools."""
    match group:
        case Reasoning():
            return _thought(group, id)
        case ToolCall(kind=kind, arguments=arguments):
            return {**call_item(group, arguments, id=id, as_custom=kind == "custom"), "status": status}
        case ToolResult(call_id=call_id, parts=parts, kind=kind):
            is_custom = kind == "custom" or call_id in custom
            type = "custom_tool_call_output" if is_custom else "function_call_output"
            fields = {"call_id": call_id, "output": input_content(parts)}
            return {"id": id, "type": type, "status": status, **fields}
        case Image(source=Inline() as source):
            result = {"output_format": PICTURES[source.media_type], "result": source.data}
            return {"id": id, "type": "image_generation_call", "status": status, **result}
        case Opaque(data=data):
            return data if KIND.decode(data).id else {**FIELDS.decode(data), "id": id}
        case Message() if is_compaction(group):
            return {"id": id, "type": "compaction", "encrypted_content": sealed(group.text)}
        case Message(role=role):
            content = input_content(part for part in group.parts if not isinstance(part, ToolResult))
            contents = [InputText(content)] if isinstance(content, str) else content
            role = "user" if role == "tool" else role
            return {"id": id, "type": "message", "status": status, "role": role, "content": contents}
        case tuple():
            phase = {"phase": named} if (named := phase_of(group)) in PHASES else {}
            head = {"id": id, "type": "message", "status": status, "role": "assistant"}
            return {**head, "content": contents_of(group), **phase}
    raise AssertionError(f"no item holds {group!r}")


def _thought(thought: Reasoning, id: str) -> Json:
    item: Json = {"id": id, "type": "reasoning"}
    item["summary"] = [{"type": "summary_text", "text": text} for text in thought.summary]
    if thought.text:
        item["content"] = [{"type": "reasoning_text", "text": thought.text}]
    if thought.encrypted:
        item["encrypted_content"] = thought.encrypted
    return item


def contents_of(words: Sequence[Word]) -> list[Json]:
    """The contents of a message: neighbours of one kind as one, the annotations moved along."""
    made: list[Json] = []
    for word in words:
        type = "refusal" if isinstance(word, Refusal) else "output_text"
        if not made or made[-1]["type"] != type:
            made.append(empty_content(type))
        last = made[-1]
        if isinstance(word, Refusal):
            last["refusal"] += word.text
        else:
            last["annotations"] += annotations_for(word.citations, len(last["text"]))
            last["text"] += word.text
    return made


def empty_content(type: str) -> Json:
    """A content of this type before its first word."""
    if type == "refusal":
        return {"type": type, "refusal": ""}
    return {"type": type, "text": ""} | ({"annotations": [], "logprobs": []} if type == "output_text" else {})
