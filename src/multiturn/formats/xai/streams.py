"""A reply that comes as a stream of chunks, as deltas and then a message.

What has come of each output is put together again and then read as a whole reply is, so both give the same message.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.readings import call_of
from multiturn.formats.xai.replies import answer_of, read
from multiturn.formats.xai.wire import CLIENT_SIDE, COMPLETED, Proto, chat_pb2
from multiturn.ids import new_id


class _Output:
    """One output so far."""

    def __init__(self, numbers: Iterator[int], provider: str) -> None:
        self.finish_reason = 0
        self._role = chat_pb2.ROLE_ASSISTANT
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._encrypted: list[str] = []
        self._citations: list[Proto] = []
        self._calls: dict[str, Proto] = {}
        self._at: dict[str, int] = {}  # our index of each call that the client runs
        self._numbers = numbers
        self._provider = provider

    @property
    def is_last_word(self) -> bool:
        """Whether the model has ended with it: no tool of the server's comes after."""
        return bool(self.finish_reason) and self._role == chat_pb2.ROLE_ASSISTANT and len(self._at) == len(self._calls)

    def add(self, piece: Proto) -> list[Delta]:
        """The deltas of one chunk; none for what a server-side tool gave back."""
        said = piece.delta
        self._role = said.role or self._role
        self.finish_reason = piece.finish_reason or self.finish_reason
        self._texts.append(said.content)
        self._thoughts.append(said.reasoning_content)
        self._encrypted.append(said.encrypted_content)
        self._citations += said.citations
        if self._role == chat_pb2.ROLE_TOOL:
            self._calls |= {call.id: call for call in said.tool_calls}
            return []
        deltas: list[Delta] = []
        if said.reasoning_content:
            deltas.append(ReasoningDelta(said.reasoning_content))
        if said.content:
            deltas.append(TextDelta(said.content))
        return deltas + [delta for call in said.tool_calls if (delta := self._call(call)) is not None]

    def _call(self, call: Proto) -> Delta | None:
        """A call comes whole as a rule. With `INCLUDE_OPTION_TOOL_CALL_STREAMING`, fragments under its id come before
        (chat.proto); one that a server runs comes again as its status changes."""
        known = self._calls.get(call.id) if call.id else None
        if known is None:
            known = chat_pb2.ToolCall()
            known.CopyFrom(call)
            known.id = call.id or new_id("call")
            self._calls[known.id] = known
            if call.type not in CLIENT_SIDE:
                return PartDelta(call_of(call, self._provider))
            self._at[known.id] = next(self._numbers)
            return ToolCallDelta(self._at[known.id], known.id, call.function.name, call.function.arguments)
        if call.type not in CLIENT_SIDE:
            known.CopyFrom(call)
            return None
        before, new = known.function, call.function
        if call.status == COMPLETED:
            name, more = "" if before.name else new.name, new.arguments.removeprefix(before.arguments)
            known.CopyFrom(call)
        else:
            name, more = "" if before.name else new.name, new.arguments
            before.name += new.name
            before.arguments += new.arguments
        return ToolCallDelta(self._at[known.id], name=name, arguments=more) if name or more else None

    def whole(self, index: int) -> Proto:
        said = chat_pb2.CompletionMessage(
            content="".join(self._texts),
            reasoning_content="".join(self._thoughts),
            encrypted_content="".join(self._encrypted),
            role=self._role,
            tool_calls=self._calls.values(),
            citations=self._citations,
        )
        return chat_pb2.CompletionOutput(index=index, message=said, finish_reason=self.finish_reason)


class StreamDecoder:
    """One answer's stream, chunk by chunk. With `choices` asked for, deltas are the first one's."""

    def __init__(self, dialect: Dialect, *, choices: int = 1) -> None:
        self._dialect = dialect
        self._choices = choices
        self._outputs: dict[int, _Output] = {}
        self._numbers = itertools.count()
        self._reply = chat_pb2.GetChatCompletionResponse()

    def decode(self, chunk: bytes) -> list[Delta]:
        """The deltas that this `GetChatCompletionChunk` brings, maybe none. Raises `InvalidReply`."""
        made = read(chat_pb2.GetChatCompletionChunk, chunk, self._dialect)
        self._note(made)
        deltas: list[Delta] = []
        for piece in made.outputs:
            if piece.index not in self._outputs:
                self._outputs[piece.index] = _Output(self._numbers, self._dialect.provider)
            new = self._outputs[piece.index].add(piece)
            if self._choices == 1 or piece.index == 0:
                deltas += new
        return deltas

    def _note(self, chunk: Proto) -> None:
        self._reply.id = chunk.id or self._reply.id
        self._reply.model = chunk.model or self._reply.model
        self._reply.citations.extend(chunk.citations)  # only the last chunk has any
        self._reply.output_files.extend(chunk.output_files)
        if chunk.HasField("usage"):
            self._reply.usage.CopyFrom(chunk.usage)  # each counts all that came before

    @property
    def has_ended(self) -> bool:
        """Whether the answer's last word is there, so that nothing is missing if the connection breaks now. A stream
        that ends as gRPC says has ended in any case."""
        if self._choices > 1:
            return len(self._outputs) == self._choices and all(made.finish_reason for made in self._outputs.values())
        return bool(self._outputs) and self._outputs[max(self._outputs)].is_last_word

    def answer(self) -> Answer:
        """The whole answer, once the stream has ended. Raises `InvalidReply` if there was nothing in it."""
        reply = chat_pb2.GetChatCompletionResponse()
        reply.CopyFrom(self._reply)
        reply.outputs.extend(made.whole(index) for index, made in self._outputs.items())
        return answer_of(reply, self._dialect, self._choices)
