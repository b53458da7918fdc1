"""As a server: answers as whole replies and as streams of chunks. (Errors are in `failures.py`.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from multiturn.deltas import Answer, Delta, ReasoningDelta, RefusalDelta, TextDelta
from multiturn.formats.switching import is_home
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.messages import said_by_model
from multiturn.formats.xai.readings import TICKS_IN_USD
from multiturn.formats.xai.wire import REASONS, Proto, chat_pb2, dumps, usage_pb2
from multiturn.messages import Citation, Message, Opaque, Reasoning, Text, Usage

_ECHOED = frozenset(field.name for field in chat_pb2.RequestSettings.DESCRIPTOR.fields)


def encode_reply(
    answer: Answer,
    *,
    id: str,
    created: int,
    model: str,
    dialect: Dialect,
    usage: Usage | None = None,
    request: bytes = b"",
    encrypted: bool = True,
) -> bytes:
    """A `GetChatCompletionResponse`. `created` is in whole seconds since the epoch; without `usage`, the answer's own
    is told; `request` is the request's bytes, whose settings are echoed. Opaque parts and encrypted thinking that
    `dialect` may not see are left out; without `encrypted`, all encrypted thinking is."""
    usage = usage or answer.message.usage
    if answer.alternatives:
        choices = enumerate((answer.message, *answer.alternatives))
        outputs = [_choice(n, message, dialect, encrypted=encrypted) for n, message in choices]
    else:
        outputs = _outputs(answer.message, dialect, encrypted=encrypted)
    made = chat_pb2.GetChatCompletionResponse(
        id=id,
        created={"seconds": created},
        model=model,
        outputs=outputs,
        citations=_addresses(answer.message),
        usage=None if usage is None else to_usage(usage),
        settings=_settings(request) if request else None,
    )
    return dumps(made)


def _outputs(message: Message, dialect: Dialect, *, encrypted: bool) -> list[Proto]:
    """A message as one output; as several, where tools have run at the provider: what each gave back is one, and what
    the model said between them. The last that the model speaks in says why it ended."""
    spoken = _spoken(message, dialect, encrypted=encrypted)
    if all(wire.role == chat_pb2.ROLE_ASSISTANT for wire in spoken):
        return [_joined(0, spoken, message)]
    ending = max((n for n, wire in enumerate(spoken) if wire.role == chat_pb2.ROLE_ASSISTANT), default=0)
    made: list[Proto] = []
    for n, wire in enumerate(spoken):
        content = "".join(content.text for content in wire.content)
        said = chat_pb2.CompletionMessage(
            content=content,
            reasoning_content=wire.reasoning_content,
            encrypted_content=wire.encrypted_content,
            role=wire.role,
            tool_calls=wire.tool_calls,
            citations=_inline(message, len(message.text) - len(content)) if n == ending else (),
        )
        reason = _reason(message) if n == ending else 0
        made.append(chat_pb2.CompletionOutput(index=n, message=said, finish_reason=reason))
    return made


def _choice(index: int, message: Message, dialect: Dialect, *, encrypted: bool) -> Proto:
    """What the model itself has said in the message, as one output."""
    spoken = _spoken(message, dialect, encrypted=encrypted)
    return _joined(index, [wire for wire in spoken if wire.role == chat_pb2.ROLE_ASSISTANT], message)


def _joined(index: int, said: Sequence[Proto], message: Message) -> Proto:
    """One output of what was said in several messages. Encrypted thinking cannot be joined: the last counts."""
    whole = chat_pb2.CompletionMessage(
        content="".join(content.text for one in said for content in one.content),
        reasoning_content="".join(one.reasoning_content for one in said),
        encrypted_content=next((one.encrypted_content for one in reversed(said) if one.encrypted_content), ""),
        role=chat_pb2.ROLE_ASSISTANT,
        tool_calls=[call for one in said for call in one.tool_calls],
        citations=_inline(message, 0),
    )
    return chat_pb2.CompletionOutput(index=index, message=whole, finish_reason=_reason(message))


def _spoken(message: Message, dialect: Dialect, *, encrypted: bool) -> list[Proto]:
    """The message as messages that the client may send back, whoever made it."""
    home = is_home(message.origin, dialect)
    kept = (
        part for part in message.parts if not isinstance(part, Opaque) or (home and part.provider == dialect.provider)
    )
    parts = (
        Reasoning(part.text, part.summary) if isinstance(part, Reasoning) and not (home and encrypted) else part
        for part in kept
    )
    return said_by_model(msgspec.structs.replace(message, parts=tuple(parts), origin=None), dialect)


def _reason(message: Message) -> int:
    """xAI's word for why the message ended; a client knows no others."""
    reason: int = REASONS.get(message.finish_reason or "", REASONS["tool_calls" if message.tool_calls else "stop"])
    return reason


def _addresses(message: Message) -> list[str]:
    """The addresses that the whole answer rests on, rather than a span of it."""
    texts = (part for part in message.parts if isinstance(part, Text))
    return [cited.url for text in texts for cited in text.citations if cited.url and cited.end is None]


def _inline(message: Message, skipped: int) -> list[Proto]:
    """The citations of files, and of spans in that part of the text that begins after `skipped` characters."""
    made: list[Proto] = []
    offset = -skipped
    for text in (part for part in message.parts if isinstance(part, Text)):
        shown = (cited for cited in text.citations if cited.file_id or cited.end is not None)
        made += [_inline_citation(cited, offset) for cited in shown if offset >= 0]
        offset += len(text.text)
    return made


def _inline_citation(cited: Citation, offset: int) -> Proto:
    made = chat_pb2.InlineCitation(id=cited.id)
    if cited.end is not None and cited.unit == "answer_character":
        made.start_index, made.end_index = _int32(offset + (cited.start or 0)), _int32(offset + cited.end)
    if cited.file_id:
        made.collections_citation.file_id = cited.file_id
        made.collections_citation.chunk_content = cited.quote or ""
    elif cited.url:
        made.web_citation.url = cited.url
    return made


def to_usage(usage: Usage) -> Proto:
    made = usage_pb2.SamplingUsage(
        prompt_tokens=_int32(usage.input_tokens),
        completion_tokens=_int32(usage.output_tokens),
        total_tokens=_int32(usage.total_tokens),
        prompt_text_tokens=_int32(max(0, usage.input_tokens - usage.cached_tokens)),
        cached_prompt_text_tokens=_int32(usage.cached_tokens),
        reasoning_tokens=_int32(usage.reasoning_tokens),
    )
    if usage.cost_usd is not None:
        made.cost_in_usd_ticks = round(usage.cost_usd * TICKS_IN_USD)
    return made


def _int32(number: int) -> int:
    """As much of a number as the field can hold."""
    return min(number, 2**31 - 1)


def _settings(request: bytes) -> Proto:
    """What the request asked for, as far as a reply echoes it: the fields of the same name."""
    asked = chat_pb2.GetCompletionsRequest.FromString(request)
    echoed = {field.name: value for field, value in asked.ListFields() if field.name in _ECHOED}
    return chat_pb2.RequestSettings(**echoed)


# --- streams ---------------------------------------------------------------------------------------------------------


class StreamEncoder:
    """One answer as `GetChatCompletionChunk`s: `encode` for each delta, then `finish`. A stream that fails ends with
    the status that `encode_error` gives. `created` is in whole seconds since the epoch; without `encrypted`, no
    encrypted thinking is shown."""

    def __init__(self, *, id: str, created: int, model: str, dialect: Dialect, encrypted: bool = True) -> None:
        self._base = {"id": id, "created": {"seconds": created}, "model": model}
        self._dialect = dialect
        self._encrypted = encrypted
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    def encode(self, delta: Delta) -> bytes:
        """The chunk for this delta; empty for what comes whole in `finish`: tool calls, and what is not text."""
        match delta:
            case TextDelta(text=text) | RefusalDelta(text=text):
                self._texts.append(text)
                return self._chunk([_piece(content=text)])
            case ReasoningDelta(text=text):
                self._thoughts.append(text)
                return self._chunk([_piece(reasoning_content=text)])
        return b""

    def finish(self, answer: Answer, usage: Usage | None = None) -> bytes:
        """The last chunk: what has not come in deltas, tool calls, encrypted thinking, citations, why the answer ended,
        the other choices whole, and the usage. Without `usage`, the answer's own is told."""
        usage = usage or answer.message.usage
        pieces = self._rest(answer.message)
        for index, other in enumerate(answer.alternatives, start=1):
            pieces.append(_as_piece(_choice(index, other, self._dialect, encrypted=self._encrypted)))
        fields: dict[str, Any] = {"citations": _addresses(answer.message)}
        if usage is not None:
            fields["usage"] = to_usage(usage)
        return self._chunk(pieces, **fields)

    def _rest(self, message: Message) -> list[Proto]:
        """What `encode` left out of the first choice: all of the model's own in output 0, where its text has gone,
        then what server-side tools gave back."""
        own = _choice(0, message, self._dialect, encrypted=self._encrypted)
        own.message.content = _left(own.message.content, self._texts)
        own.message.reasoning_content = _left(own.message.reasoning_content, self._thoughts)
        outputs = _outputs(message, self._dialect, encrypted=self._encrypted)
        return [_as_piece(each) for each in (own, *outputs) if each is own or each.message.role == chat_pb2.ROLE_TOOL]

    def _chunk(self, pieces: Iterable[Proto], **fields: Any) -> bytes:
        return dumps(chat_pb2.GetChatCompletionChunk(**self._base, outputs=pieces, **fields))


def _left(whole: str, told: Sequence[str]) -> str:
    """What of the text has not been told yet."""
    begun = "".join(told)
    return whole.removeprefix(begun) if whole.startswith(begun) else ""


def _piece(**said: str) -> Proto:
    return chat_pb2.CompletionOutputChunk(delta=chat_pb2.Delta(role=chat_pb2.ROLE_ASSISTANT, **said))


def _as_piece(output: Proto) -> Proto:
    """A whole output as one piece of a stream; `Delta` has the fields of `CompletionMessage`."""
    delta = chat_pb2.Delta.FromString(dumps(output.message))
    return chat_pb2.CompletionOutputChunk(delta=delta, index=output.index, finish_reason=output.finish_reason)
