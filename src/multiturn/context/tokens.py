"""`Counter`: how many tokens texts, messages and tools take for one model, without asking anybody.

    counter_for("openai", "gpt-5.4").text("Hello")
    counter_for("openai", "gpt-4.1", "responses")      where requests count another way over this format
    register(count, model="*qwen3*")                   a tokenizer of one's own: a text's tokens

The rules are those of `rules.json`. What a provider has counted itself is better than any of this: `estimate` in
`multiturn.context.estimates`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TypeAlias

from multiturn.context import declarations
from multiturn.context.encodings import approximate, encoding, shares
from multiturn.context.media import tokens_of
from multiturn.context.rules import Rules, Texts, rules_for
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
from multiturn.request import OutputSchema, ToolSpec

TextCounter: TypeAlias = Callable[[str], int]


class Counter:
    """Counts for one provider's model. Equal counts for equal arguments, so what it made may be kept under it as key.
    Counts of messages add up: a list of messages takes what each of them takes."""

    def __init__(
        self, provider: str, model: str, rules: Rules, text: TextCounter | None = None, format: str | None = None
    ) -> None:
        self.provider = provider
        self.model = model
        self.format = format
        self.rules = rules
        self._own = text

    def __repr__(self) -> str:
        return f"<Counter {self.provider}:{self.model}>"

    @property
    def error(self) -> float:
        """How far off counts of text may be, as a share of the right number; 0 is exact."""
        if self._own is not None:
            return 0.0
        return self.rules.text.error if encoding(self.rules.text.encoding) else self.rules.text.error + 0.2

    # --- words --------------------------------------------------------------------------------------------------------

    def text(self, text: str) -> int:
        """A text alone."""
        return self._own(text) if self._own is not None else _by_rule(text, self.rules.text)

    def instructions(self, text: str | None) -> int:
        """The instructions of a request."""
        return self.rules.wrapping.instructions + self.text(text) if text else 0

    # --- messages -----------------------------------------------------------------------------------------------------

    def message(self, message: Message) -> int:
        """One message as part of a request."""
        wrapping, parts = self.rules.wrapping, message.parts
        apart = [part for part in parts if isinstance(part, ToolCall | ToolResult)]
        words = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
        count = self.text(words) + sum(self._shown(part, message) for part in parts)
        if count or len(apart) < len(parts) or not parts:
            count += wrapping.message
            if message.name and wrapping.name:
                count += wrapping.name + self.text(message.name)
        calls = message.tool_calls
        each = wrapping.call if len(calls) == 1 else wrapping.parallel
        count += sum(each + self.text(call.name) + self.text(call.arguments or "{}") for call in calls)
        return count + sum(self._result(result, message) for result in message.tool_results)

    def messages(self, messages: Iterable[Message]) -> int:
        return sum(map(self.message, messages))

    def _shown(self, part: Part, message: Message) -> int:
        """What is neither words nor a call nor a result."""
        match part:
            case Image() | Audio() | Video() | File():
                around = self.rules.wrapping.image if isinstance(part, Image) else 0
                return around + tokens_of(part, self.rules.image, self.rules.media, self.text)
            case Opaque(provider=self.provider, data=data):
                return self.text(bytes(data).decode(errors="replace"))
            case Reasoning() if self.rules.wrapping.reasoning == "always" and self._is_mine(message):
                return self._thought(part, message)
        return 0

    def _thought(self, part: Reasoning, message: Message) -> int:
        """An answer's thinking, of which its first part stands for all, where the provider said how much it was."""
        if message.usage is None or not message.usage.reasoning_tokens:
            return self.text(part.text)
        first = next(each for each in message.parts if isinstance(each, Reasoning))
        return message.usage.reasoning_tokens if part is first else 0

    def _is_mine(self, message: Message) -> bool:
        return message.origin is not None and message.origin.provider == self.provider

    def _result(self, result: ToolResult, message: Message) -> int:
        words = self.text(result.name or "") + self.text(result.text)
        return self.rules.wrapping.result + words + sum(self._shown(part, message) for part in result.parts)

    # --- all else of a request ----------------------------------------------------------------------------------------

    def tools(self, tools: Iterable[ToolSpec], *, forced: bool = False) -> int:
        """What tools take, in a request without instructions. `forced` is a `tool_choice` that has one called."""
        offered, wrapping, prompt = tuple(tools), self.rules.wrapping, self.rules.tool_prompt
        if not offered:
            return 0
        if wrapping.style == "json":
            told = sum(wrapping.tool + self.text(declarations.json(tool)) for tool in offered)
        else:
            told = self.text(declarations.typescript(offered, joined=wrapping.style == "typescript joined"))
        begun = self._begun(offered[0]) if forced and len(offered) == 1 else 0
        return wrapping.tools + told + begun + (prompt.forced if forced else prompt.auto)

    def _begun(self, tool: ToolSpec) -> int:
        """The call of the only tool, which has to be called: over Responses it begins in the prompt of GPT-4o, and the
        answer has its arguments alone. What is around a call, therefore, but for its end and what primes any answer."""
        if self.rules == rules_for(self.provider, self.model):  # those of every format
            return 0
        return self.rules.wrapping.call - self.rules.wrapping.reply - 1 + self.text(tool.name)

    def opening(
        self,
        instructions: str | None,
        tools: Iterable[ToolSpec] = (),
        *,
        forced: bool = False,
        output: OutputSchema | None = None,
    ) -> int:
        """All of a request but its messages: instructions, tools, the schema of the answer, what the provider adds, and
        what primes the answer."""
        wrapping = self.rules.wrapping
        declared = self.tools(tools, forced=forced)
        merged = wrapping.merged if declared and instructions else 0
        told = wrapping.request + wrapping.reply + self.instructions(instructions) + declared - merged
        return told + (self._schema(output) if output and output.schema else 0)

    def _schema(self, output: OutputSchema) -> int:
        """As the JSON that it is, which is a third more than OpenAI counts for it (`docs/howto/count.md`)."""
        return self.text(f"{output.name}{output.description or ''}{bytes(output.schema or b'').decode()}")


def _by_rule(text: str, rule: Texts) -> int:
    count = encoding(rule.encoding) or approximate
    cjk, other = shares(text) if rule.cjk != rule.latin or rule.other != rule.latin else (0.0, 0.0)
    return math.ceil(count(text) * (rule.latin + cjk * (rule.cjk - rule.latin) + other * (rule.other - rule.latin)))


# --- whose counter --------------------------------------------------------------------------------------------------

_registered: dict[tuple[str, str], TextCounter] = {}


def register(count: TextCounter | None, *, provider: str = "*", model: str = "*") -> None:
    """Count the texts of these models with `count` from now on: a text's tokens, special tokens in it being text. The
    names are patterns as of files, in small letters; what was registered last comes first. None takes away what was
    registered for the same patterns. Whatever else a request has stays as the rules say."""
    _registered.pop((provider, model), None)
    if count is not None:
        _registered[provider, model] = count
    counter_for.cache_clear()


@functools.lru_cache(maxsize=256)
def counter_for(provider: str, model: str, format: str | None = None) -> Counter:
    """The counter of a provider's model, asked in this format or in any; the same one each time, until something is
    registered. `format` is the name of a format of ours, such as `responses`."""
    asked = (provider.lower(), model.lower())
    own = next((count for names, count in reversed(_registered.items()) if all(map(fnmatchcase, asked, names))), None)
    return Counter(provider, model, rules_of(provider, model, format), own, format)


def rules_of(provider: str, model: str, format: str | None = None) -> Rules:
    """The rules of a provider's model where it is asked in this format. OpenAI's are others over Responses: its rows
    then are those of `openai/responses`."""
    apart = format == "responses" and provider.lower() in ("openai", "azure")
    return rules_for(f"{provider}/{format}" if apart else provider, model)
