"""Logs on stderr: a line for people, or an object of JSON for programs. Every record of the logger `multiturn` is one,
its `extra` fields beside its message.

What was said never stands there, unless `content` is set: neither messages nor what an unexpected exception says, for
that may quote them; its class and where it was raised do."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec

from multiturn.errors import StoreError
from multiturn.messages import Message
from multiturn.server.auth import Caller
from multiturn.server.observing.visits import Visit, kind_of
from multiturn.server.settings.values import Log
from multiturn.turns import Turn

requests = logging.getLogger("multiturn.server.requests")
"""A record for every request, and one for every turn that no request waits for."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_PLAIN = re.compile(r"[\w.:/+@{}*-]+", re.ASCII)
_OURS = "multiturn"
_TELLING = (OSError, StoreError, ImportError)  # exceptions that speak of this machine, not of what was said


def configure(log: Log, stream: TextIO | None = None) -> None:
    """Let this process write its logs so from now on: ours from `log.level` on, others' from warnings on."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JSONFormat(log.content) if log.format == "json" else TextFormat(log.content))
    root = logging.getLogger()
    for other in root.handlers[:]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(log.level.upper())
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line tells them


def _is_news(record: logging.LogRecord) -> bool:
    """Of a WebSocket that is refused, which is told like any request, uvicorn says that the application is at fault."""
    return record.msg != "ASGI callable returned without completing handshake."


def wanted(status: int) -> int | None:
    """The level of a request's record; None where nobody would see it."""
    level = logging.INFO if status < 500 else logging.WARNING
    return level if requests.isEnabledFor(level) else None


def write(level: int, at: float, message: str, fields: dict[str, Any]) -> None:
    """A record of that moment whose fields are in one place, and without the search for who has written it: there is
    one a request."""
    record = logging.LogRecord(requests.name, level, __file__, 0, message, None, None)
    record.created, record.msecs, record.fields = at, at % 1 * 1000, fields
    requests.handle(record)


@contextmanager
def together() -> Iterator[None]:
    """The lines of what is logged in here are written at its end, for each write costs more than making a line."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]
    with ExitStack() as stack:
        for handler in handlers:
            stack.enter_context(handler.holding())
        yield


# --- what stands in a line ------------------------------------------------------------------------------------------


def of_request(visit: Visit | None, door: str, status: int, seconds: float, caller: Caller | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"door": door, "status": status, "ms": round(seconds * 1000, 1)}
    if visit is not None:
        fields["request_id"] = visit.id
    if caller is not None and caller.key_id is not None:
        fields |= {"tenant": caller.tenant, "key_id": caller.key_id}
    return fields


def of_turn(turn: Turn, error: BaseException | None, first_s: float | None, *, content: bool) -> dict[str, Any]:
    usage = turn.usage
    fields: dict[str, Any] = {
        "model": turn.model,
        "turn": turn.id,
        "conversation": turn.conversation,
        "turn_status": turn.status.value,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.cached_tokens:
        fields["cached_tokens"] = usage.cached_tokens
    if usage.cost_usd is not None:
        fields["cost_usd"] = usage.cost_usd
    if first_s is not None:
        fields["first_ms"] = round(first_s * 1000, 1)
    if turn.reason is not None:
        fields["reason"] = turn.reason
    if (kind := kind_of(error, turn)) is not None:
        fields["error"] = kind
    if content:
        said = {"input": [*map(_shown, turn.input)], "output": [*map(_shown, turn.output)]}
        fields |= {"instructions": turn.instructions, **said} if turn.instructions is not None else said
    return fields


def _shown(message: Message) -> str:
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return " ".join([f"{message.role}: {message.text}", *calls, *(result.text for result in message.tool_results)])


# --- how lines are written ------------------------------------------------------------------------------------------


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines, several at once where they are held."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._holds = False

    @contextmanager
    def holding(self) -> Iterator[None]:
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
            self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
        except Exception:
            self.handleError(record)
        if not self._holds:
            self.flush()

    def flush(self) -> None:
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines and not self.stream.closed:
                self.stream.write("\n".join([*lines, ""]))
                self.stream.flush()


# --- formats --------------------------------------------------------------------------------------------------------


class _Format(logging.Formatter):
    def __init__(self, content: bool) -> None:
        super().__init__()
        self._content = content

    def message(self, record: logging.LogRecord) -> str:
        """Of what other libraries say, the first line: below it asyncio shows its objects, and so what is in them."""
        message = record.getMessage()
        is_ours = record.name.partition(".")[0] == _OURS
        return message.strip() if self._content or is_ours else message.strip().partition("\n")[0]

    def error(self, record: logging.LogRecord) -> str:
        """What was raised, and where; empty where nothing was."""
        error = record.exc_info[1] if record.exc_info else None
        return "\n".join(self._chain(error)) if error else ""

    def _chain(self, error: BaseException) -> Iterator[str]:
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is not None:
            yield from self._chain(before)
        yield from _frames(error.__traceback__)
        says = str(error) if self._content or isinstance(error, _TELLING) else ""
        yield f"{type(error).__qualname__}: {says}" if says else type(error).__qualname__


class TextFormat(_Format):
    """For people: the time, the level where it is not the usual one, what happened, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = f"{time}  {level}{_line(self.message(record))}{_words(_fields(record))}"
        error = self.error(record)
        return f"{line}\n{error}" if error else line


class JSONFormat(_Format):
    """For programs: one object a line. `time` is UTC; `exception` says what was raised where."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        line.update(_fields(record))
        if error := self.error(record):
            line["exception"] = error
        return _json(line)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    held = vars(record)
    if "fields" in held:
        fields: dict[str, Any] = held["fields"]
        return fields
    return {name: value for name, value in held.items() if name not in _STANDARD and value is not None}


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield f"  {code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next


def _words(fields: Mapping[str, Any]) -> str:
    """The fields of a line of text. Nearly always all are plain, which is seen at one look."""
    values = [*map(str, fields.values())]
    words = values if _PLAIN.fullmatch("".join(values)) and all(values) else map(_word, fields.values())
    return "".join([f"  {name}={word}" for name, word in zip(fields, words, strict=True)])


def _word(value: Any) -> str:
    """The value, in quotes where it is more than a word: nobody can write a line of their own into the log."""
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else _json(value)
    return text if _PLAIN.fullmatch(text) else _json(text)


def _line(text: str) -> str:
    return text if text.isprintable() else _json(text)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:  # half a character
        return json.dumps(value, default=str)
