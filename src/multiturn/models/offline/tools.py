"""Which tools a request names, the calls that it asks for, and what to say when their results are there.

A tool is named by words that it shares with a sentence: a word of its name counts twice, a word of its description
once, and two points are enough. The same call is never made twice in one turn.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from multiturn.errors import RequestRejected
from multiturn.messages import Text, ToolCall, ToolResult
from multiturn.models.offline.clues import Clues
from multiturn.models.offline.dialogue import Dialogue, Question
from multiturn.models.offline.english import content_stems, cut, is_question
from multiturn.models.offline.kinds import FREE, kind_of
from multiturn.models.offline.media import describe
from multiturn.models.offline.recall import knows
from multiturn.models.offline.schema import Filler
from multiturn.models.offline.statements import facts_in
from multiturn.request import NamedTool, ToolSpec

_ENOUGH = 2
_QUOTED = 4000
_GENERIC = content_stems(
    "fetch return lookup tool function value values data information info current given specified user result results"
    " retrieve use used using call perform provide name names string number input output new list find item items"
    " text example today"
)
_CLAUSE = re.compile(r"(?<=[.!?;])\s+|\n+|,?\s+(?:and then|then|and also|and)\s+|,\s+")
_SPECIFIC = re.compile(r"\d|[A-Z]|[\"“'‘]")
_WISH = re.compile(r"i(?:'d like| want| need| would like)\b", re.IGNORECASE)
_ELLIPSIS = re.compile(r"(?:and|what about|how about|or|now|same for|also)\b[\s,:]*(?P<rest>.+)", re.IGNORECASE)


def calls_for(dialogue: Dialogue) -> tuple[ToolCall, ...]:
    """The calls to make now, none if the request asks for none or all were made. Raises `RequestRejected` where
    `tool_choice` names a tool that is not offered."""
    request = dialogue.request
    choice = request.settings.tool_choice
    if choice == "none" or not request.tools:
        if isinstance(choice, NamedTool):
            raise RequestRejected(f"tool_choice names {choice.name!r}, but no tools are offered", provider="offline")
        return ()
    made = {(call.name, _canonical(call.arguments)) for call in _made(dialogue)}
    planned = (plan for plan in _plans(dialogue) if (plan[0], _canonical(plan[1])) not in made)
    wanted = 1 if request.settings.parallel_tool_calls is False else 32
    unique = dict.fromkeys(planned)
    return tuple(
        ToolCall(call_id=_call_id(dialogue, n, name, arguments), name=name, arguments=arguments)
        for n, (name, arguments) in enumerate(islice(unique, wanted))
    )


def report(dialogue: Dialogue) -> str | None:
    """What the tools have given back in this turn, quoted; None if there is nothing."""
    calls = {call.call_id: call for call in _made(dialogue)}
    return "\n".join(_told(result, calls.get(result.call_id)) for result in dialogue.results) or None


def beside_tools(dialogue: Dialogue) -> list[str]:
    """The sentences that name no tool, in a message where others do."""
    free = [sentence for sentence in dialogue.asked_sentences if not _best(sentence, dialogue)]
    return free if len(free) < len(dialogue.asked_sentences) else []


# --- which ----------------------------------------------------------------------------------------------------------


def _plans(dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """Names and arguments of all calls that the request asks for, in the order of its words."""
    tools = {tool.name: tool for tool in dialogue.request.tools}
    choice = dialogue.request.settings.tool_choice
    asked = dialogue.asked
    if isinstance(choice, NamedTool):
        if choice.name not in tools:
            offered = ", ".join(tools)
            raise RequestRejected(f"tool_choice names {choice.name!r}; offered are: {offered}", provider="offline")
        yield from _planned(tools[choice.name], asked, dialogue)
        return
    found = False
    for text, tool in _requests(dialogue):
        found = True
        yield from _planned(tool, text, dialogue)
    if not found and (again := _again(dialogue, tools)):
        yield from _planned(again, asked, dialogue)
    elif not found and choice == "required":
        yield from _planned(max(tools.values(), key=lambda tool: _score(asked, tool)), asked, dialogue)


def _requests(dialogue: Dialogue) -> Iterator[tuple[str, ToolSpec]]:
    """The stretches of the message that name a tool, each with its tool. A clause that names none belongs to the one
    before it."""
    for sentence in dialogue.asked_sentences:
        if not _is_request(sentence, dialogue):
            continue
        stretches: list[tuple[int, int, ToolSpec]] = []  # begin, end, tool
        for begin, end in _clauses(sentence):
            tool = _best(sentence[begin:end], dialogue)
            if tool and not (stretches and tool == stretches[-1][2] and not _SPECIFIC.search(sentence, begin + 1, end)):
                stretches.append((begin if stretches else 0, end, tool))
            elif stretches:
                stretches[-1] = (stretches[-1][0], end, stretches[-1][2])
        if stretches:
            yield from ((sentence[begin:end], tool) for begin, end, tool in stretches)
        elif whole := _best(sentence, dialogue):
            yield sentence, whole


def _clauses(sentence: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for border in _CLAUSE.finditer(sentence):
        yield begin, border.start()
        begin = border.end()
    yield begin, len(sentence)


def _is_request(sentence: str, dialogue: Dialogue) -> bool:
    """Not a statement about oneself, and not a question that the dialogue itself answers."""
    if not is_question(sentence) and not _WISH.match(sentence) and next(facts_in(sentence), None):
        return False
    return not (re.search(r"\b(?:my|i)\b", sentence, re.I) and knows(Question(sentence, dialogue)))


def _best(text: str, dialogue: Dialogue) -> ToolSpec | None:
    best = max(dialogue.request.tools, key=lambda tool: _score(text, tool), default=None)
    return best if best and _score(text, best) >= _ENOUGH else None


def _score(text: str, tool: ToolSpec) -> int:
    if re.search(rf"\b{re.escape(tool.name)}\b", text):
        return 10
    here = content_stems(text)
    named, described = _roots(tool.name), _roots(tool.description)
    return 2 * len(here & named) + len(here & described - named)


@lru_cache(maxsize=1024)
def _roots(text: str) -> frozenset[str]:
    return frozenset(content_stems(text) - _GENERIC)


def _again(dialogue: Dialogue, tools: dict[str, ToolSpec]) -> ToolSpec | None:
    """The tool of the answer before, where the message goes on from it: `and in London?`"""
    if not _ELLIPSIS.fullmatch(dialogue.asked.strip()) or len(dialogue.asked) > 60:
        return None
    before = dialogue.history
    users = [n for n, message in enumerate(before) if message.role == "user"]
    calls = [call for message in before[users[-1] if users else 0 :] for call in message.tool_calls]
    return tools.get(calls[-1].name) if calls else None


# --- with what ------------------------------------------------------------------------------------------------------


def _planned(tool: ToolSpec, text: str, dialogue: Dialogue) -> Iterator[tuple[str, str]]:
    """One call, or one for each member of a list where the tool takes one: `in Paris and London`."""
    clues = Clues(text, dialogue.facts, verbs=tool.name)
    try:
        schema = msgspec.json.decode(tool.parameters)
    except ValueError as error:  # a number too large, for one
        raise RequestRejected(f"the parameters of {tool.name!r} cannot be read: {error}", provider="offline") from error
    first = Filler(schema, clues, text_for=lambda name: clues.guess()).fill()
    if not isinstance(first, dict):
        first = {}
    for changed in _each(first, clues):
        yield tool.name, msgspec.json.encode(changed).decode()


def _each(arguments: dict[str, Any], clues: Clues) -> Iterator[dict[str, Any]]:
    for name, value in arguments.items():
        if isinstance(value, str) and kind_of(name) not in FREE:
            members = clues.several(value)
            if len(members) > 1:
                yield from ({**arguments, name: member} for member in members)
                return
    yield arguments


# --- what was done --------------------------------------------------------------------------------------------------


def _made(dialogue: Dialogue) -> Iterator[ToolCall]:
    for message in dialogue.messages[dialogue.turn_start :]:
        yield from message.tool_calls


def _canonical(arguments: str) -> str:
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="sorted").decode()
    except msgspec.DecodeError:
        return arguments


def _told(result: ToolResult, call: ToolCall | None) -> str:
    """`From get_weather (city: Paris): 18 °C.`"""
    name = result.name or (call.name if call else "the tool")
    given = _given(call.arguments) if call else ""
    parts = [part.text if isinstance(part, Text) else describe(part) for part in result.parts]
    text = cut("\n".join(parts).strip(), _QUOTED) or "nothing"
    if result.is_error:
        return f"{name}{given} failed: {text}"
    return f"From {name}{given}: {text}"


def _given(arguments: str) -> str:
    try:
        given = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return ""
    if not isinstance(given, dict) or not given:
        return ""
    written = (value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in given.values())
    return f" ({', '.join(f'{name}: {cut(value, 80)}' for name, value in zip(given, written, strict=True))})"


def _call_id(dialogue: Dialogue, n: int, name: str, arguments: str) -> str:
    """The same for the same request, another for any other turn: made of how far the dialogue is and how it ends."""
    ending = [(message.role, message.text, message.tool_calls) for message in dialogue.messages[-6:]]
    seed = repr((len(dialogue.messages), ending, n, name, arguments))
    return f"call_{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}"
