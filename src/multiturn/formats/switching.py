"""What becomes of a history that another provider is to read, the same for every format.

`switched` is the first thing that every `encode_messages` does, so nothing that is scoped to one provider can reach
another one, whatever a format then makes of the rest:

- Signatures, encrypted reasoning, item ids, opaque items, audio ids and the ids of uploaded files go back to the
  provider and the format that they came from, byte for byte, and to nobody else.
- Another provider's visible thinking is dropped, or sent as text (`Switching.reasoning`).
- Tool call ids that another provider made, or that the target does not take, are made anew from the old ones; a call
  and its result get the same one, for the new id depends on nothing but the old.
- An image, a recording, a video or a file that the target cannot read, or that is beyond its limits, becomes a line
  that says what was there. In this turn's own input it is an error instead (`check_input`), unless the policy is to
  describe it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import ClassVar, Literal, TypeAlias

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.limits import Limits, excess, known_limits, total_excess
from multiturn.formats.limits import Media as Media
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Uploaded,
    Url,
    Video,
)

Modality: TypeAlias = Literal["image", "audio", "video", "file"]

RULES = {
    "reasoning dropped": "thinking of another provider is not sent",
    "reasoning as text": "thinking of another provider is sent as text",
    "signature dropped": "signatures and encrypted content go back to their own provider alone",
    "item dropped": "an item that only its own provider understands is not sent",
    "call id rewritten": "tool calls and their results carry ids that this provider takes",
    "media described": "what this model cannot read, or its provider does not take, is named in a line of text",
    "upload described": "a file held by another provider is named in a line of text",
}
"""Every rule that `switched` may apply, and what it does, in words for people."""


class Switching(msgspec.Struct, frozen=True, kw_only=True):
    """The choices that a switch of provider leaves. `reasoning`: whether another provider's visible thinking is
    dropped or sent as text. `media`: whether new input that the model cannot read is refused or described."""

    reasoning: Literal["drop", "text"] = "drop"
    media: Literal["reject", "describe"] = "reject"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to read: what every format's dialect has. Equal dialects make equal bytes, so they are cache keys."""

    format: ClassVar[str]
    """The name of the format that this is a dialect of, as in `Origin.format`."""

    provider: str
    """Who answers: the name in origins, and the scope of ids, signatures, uploads and opaque items."""

    key_variable: str | None = None
    """The variable that holds the key, to be named in an error about the key."""

    inputs: tuple[Modality, ...] | None = None
    """What the model reads beside text; None if that is not known, and then everything is sent."""

    limits: Limits | None = None
    """How much it takes of these; None for what is known of its provider."""

    switching: Switching = Switching()
    """The user's choices."""

    keeps_answers: bool = False
    """Stores its answers, so that a request may go on from one by its id (`Request.previous_answer`)."""

    call_ids: str = r"[\s\S]{1,64}"
    """The pattern of the tool call ids it takes."""

    tool_names: str = r"[a-zA-Z0-9_-]{1,64}"
    """The pattern of the tool names it takes; a model may have made up another one."""

    call_prefix: str = "call_"
    """What its own tool call ids begin with."""


_AT_HOME = (Text, Refusal, Reasoning)
"""The parts that go back to where they came from as they are."""


def is_home(origin: Origin | None, target: Target) -> bool:
    """Whether what has this origin goes back to where it came from. Without an origin it is the caller's own, and the
    caller knows for whom it is."""
    return origin is None or (origin.provider == target.provider and origin.format in (None, target.format))


def switched(
    messages: Iterable[Message], target: Target, note: Callable[[str], object] = lambda rule: None
) -> list[Message]:
    """The messages as `target` may see them. `note` is told of each rule of `RULES` that changed something, once for
    each time."""
    messages = tuple(messages)
    if all(
        is_home(each.origin, target) and all(isinstance(part, _AT_HOME) for part in each.parts) for each in messages
    ):
        return list(messages)
    foreign = {call.call_id for each in messages if not is_home(each.origin, target) for call in each.tool_calls}
    return [_message(message, target, foreign, note) for message in messages]


def check_input(messages: Sequence[Message], target: Target, model: str) -> None:
    """Raise `InvalidInput` for input that the model cannot read or its provider does not take, where the policy is to
    reject it, for more than one request may hold, and for files that another provider holds."""
    said: list[Media] = []
    for message in messages:
        if all(isinstance(part, Text | ToolCall) for part in message.parts):
            continue
        for part in (part for whole in message.parts for part in _with_inner(whole)):
            if isinstance(part, Image | Audio | Video | File):
                _check_medium(part, target, model)
                said += [part] if message.role != "assistant" and _reads(part, target) else []
    if said and (too_much := total_excess(said, _limits(target))):
        raise InvalidInput(f"{target.provider} {too_much}")


def _check_medium(part: Media, target: Target, model: str) -> None:
    kind, source = type(part).__name__.lower(), part.source
    if isinstance(source, Uploaded) and source.provider != target.provider:
        raise InvalidInput(
            f"{kind} {source.file_id!r} is held by {source.provider}, and this request goes to {target.provider}; "
            f"upload it there, or give its bytes"
        )
    if target.switching.media == "describe":
        return
    described = "let it be described in words with Switching(media='describe')"
    if not _knows(part, target):
        raise InvalidInput(f"{model} cannot read {kind} input; choose a model that can, or {described}")
    if too_much := excess(part, _limits(target)):
        name = f" ({part.name})" if isinstance(part, File) and part.name else ""
        raise InvalidInput(f"{target.provider} {too_much}, or {described}{name}")


def _with_inner(part: Part) -> Iterator[Part]:
    yield part
    if isinstance(part, ToolResult):
        yield from part.parts


def _message(message: Message, target: Target, foreign: Set[str], note: Callable[[str], object]) -> Message:
    home = is_home(message.origin, target)
    parts = tuple(new for part in message.parts for new in _part(part, home, target, foreign, note))
    if home and parts == message.parts:
        return message
    return msgspec.structs.replace(message, parts=parts, id=message.id if home else None)


def _part(part: Part, home: bool, target: Target, foreign: Set[str], note: Callable[[str], object]) -> Iterator[Part]:
    match part:
        case Text() if not home:
            yield _plain_text(part, note)
        case Refusal() if not home:
            yield Refusal(text=part.text)
        case Reasoning() if not home:
            yield from _thought(part, target, note)
        case Opaque():
            if home and part.provider == target.provider:
                yield part
            else:
                note("item dropped")
        case ToolCall():
            yield _call(part, home, target, note)
        case ToolResult():
            inner = tuple(new for each in part.parts for new in _part(each, home, target, foreign, note))
            of_other = part.call_id in foreign or not is_home(part.origin, target)
            call_id = _call_id(part.call_id, of_other, target, note)
            id = part.id if home else None
            name = part.name and _tool_name(part.name, target)
            yield msgspec.structs.replace(part, call_id=call_id, parts=inner, id=id, name=name)
        case Image() | Audio() | Video() | File():
            yield _media(part, home, target, note)
        case _:
            yield part


def _plain_text(part: Text, note: Callable[[str], object]) -> Text:
    if part.signature:
        note("signature dropped")
    citations = tuple(msgspec.structs.replace(cited, id=None, file_id=None) for cited in part.citations)
    return Text(text=part.text, citations=citations)


def _thought(part: Reasoning, target: Target, note: Callable[[str], object]) -> Iterator[Part]:
    if part.signature or part.encrypted:
        note("signature dropped")
    shown = part.text or "\n".join(part.summary)
    if target.switching.reasoning == "text" and shown:
        note("reasoning as text")
        yield Text(text=f"<thinking>\n{shown}\n</thinking>\n\n")
    elif shown:
        note("reasoning dropped")


def _call(part: ToolCall, home: bool, target: Target, note: Callable[[str], object]) -> ToolCall:
    call_id, name = _call_id(part.call_id, not home, target, note), _tool_name(part.name, target)
    if home:
        return msgspec.structs.replace(part, call_id=call_id, name=name)
    if part.signature:
        note("signature dropped")
    return msgspec.structs.replace(part, call_id=call_id, name=name, id=None, signature=None)


def _tool_name(name: str, target: Target) -> str:
    return name if re.fullmatch(target.tool_names, name) else re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


_MARKS = ("call_", "toolu_")
"""What the ids of OpenAI and its kin, and of Anthropic, begin with."""


def _call_id(id: str, foreign: bool, target: Target, note: Callable[[str], object]) -> str:
    marked = any(id.startswith(mark) for mark in _MARKS if mark != target.call_prefix)
    if not foreign and not marked and re.fullmatch(target.call_ids, id):
        return id
    note("call id rewritten")
    return target.call_prefix + hashlib.sha256(id.encode(errors="replace")).hexdigest()[:9]


def _media(part: Media, home: bool, target: Target, note: Callable[[str], object]) -> Media | Text:
    source = part.source
    if isinstance(source, Uploaded) and source.provider != target.provider:
        note("upload described")
        return Text(text=in_words(part))
    if not _reads(part, target):
        note("media described")
        return Text(text=in_words(part))
    if isinstance(part, Audio) and part.id and not home:
        return msgspec.structs.replace(part, id=None)
    return part


def _reads(part: Media, target: Target) -> bool:
    return _knows(part, target) and excess(part, _limits(target)) is None


def _limits(target: Target) -> Limits:
    return known_limits(target.provider, target.format) if target.limits is None else target.limits


def _knows(part: Media, target: Target) -> bool:
    return target.inputs is None or type(part).__name__.lower() in target.inputs


def in_words(part: Media) -> str:
    """What stands for a part that cannot be shown: a recording's transcript, or a note such as
    `[file report.pdf (application/pdf), not shown]`."""
    if isinstance(part, Audio) and part.transcript:
        return part.transcript
    label = f"{type(part).__name__.lower()} {part.name if isinstance(part, File) and part.name else ''}".strip()
    match part.source:
        case Url(url=url) if not url.startswith("data:"):
            return f"[{label}: {url}]"
        case Inline(media_type=media_type):
            return f"[{label} ({media_type}), not shown]"
    return f"[{label}, not shown]"
