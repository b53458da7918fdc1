"""What a mark shows of a path: turns that are made for one request after another, and never stored.

In this order: the pinned turns among those left out, the summary, then the turns from `Mark.skipped` on; of the first
`Mark.shortened` of the path, results and media are cut, unless a turn is pinned. The summary is an exchange of its own,
`summary_turn`, so that roles alternate whatever follows. What is removed is in none of them.

Between two cuts a view only grows: it keeps the turns it has, as the same objects, and so their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from multiturn.context.repair import Thread, mended
from multiturn.formats.switching import in_words
from multiturn.messages import Audio, File, Image, Message, Part, Text, ToolResult, Video, assistant, user
from multiturn.path import Path
from multiturn.turns import Mark, Turn

SUMMARY_OPENS = '<summary of="the conversation until now">\n'
SUMMARY_ENDS = "\n</summary>"
SUMMARY_READ = "(Read.)"
LONGEST_RESULT = 400
"""Characters of a tool's old result that are shown once it is shortened; half of them from its beginning."""


class View:
    """A path as a model is shown it: `shown` is what formats see. Made by `seen`."""

    __slots__ = ("mark", "path", "shown", "thread")

    def __init__(self, path: Path, mark: Mark, shown: Path, thread: Thread) -> None:
        self.path, self.mark, self.shown, self.thread = path, mark, shown, thread


def seen(path: Path, mark: Mark, before: View | None = None) -> View:
    """The path under this mark. `before` is any earlier view of the conversation: what it has made is not made again,
    and where it is the same view of the same path, some turns ago, only those turns are looked at."""
    if before is not None and before.mark == mark and _continues(path, before.path):
        count = len(before.path.turns)
        if count == len(path.turns):
            return before
        thread, new = before.thread, list[Turn]()
        for place in range(count, len(path.turns)):
            turn, thread = _whole(path.turns[place], thread, place)
            new += [turn] if turn.messages else []
        return View(path, mark, before.shown.followed_by(*new), thread)
    thread, turns = Thread([], {}), list[Turn]()
    for place, turn in _selected(path.turns, mark):
        turn, thread = _whole(turn, thread, place)
        turns += [turn] if turn.messages else []
    known = path if before is None else before.shown
    return View(path, mark, known.showing(turns), thread)


def _continues(path: Path, earlier: Path) -> bool:
    count = len(earlier.turns)
    if len(path.turns) < count:
        return False
    mine, theirs = (path.turns[count - 1], earlier.turns[-1]) if count else (None, None)
    return mine is theirs or bool(mine and theirs and mine.id and mine.id == theirs.id)


def _selected(turns: Sequence[Turn], mark: Mark) -> Iterator[tuple[int, Turn]]:
    """What is shown of these turns, each with its place among them."""
    for place in hidden_pins(turns, mark):
        yield place, _shown(turns, place, mark)
    if mark.summary:
        yield max(mark.skipped - 1, 0), summary_turn(mark.summary)
    for place in range(mark.skipped, len(turns)):
        yield place, _shown(turns, place, mark)


def _shown(turns: Sequence[Turn], place: int, mark: Mark) -> Turn:
    return without(shortened(turns[place]) if is_cut(turns, place, mark) else turns[place], mark)


def _whole(turn: Turn, thread: Thread, place: int) -> tuple[Turn, Thread]:
    said = turn.messages
    made, thread = mended(said, thread, place=place)
    return turn if made is said else msgspec.structs.replace(turn, input=tuple(made), output=()), thread


# --- pins, and where a path may be cut --------------------------------------------------------------------------------


def hidden_pins(turns: Sequence[Turn], mark: Mark) -> list[int]:
    """The places of the pinned turns that are left out, in order. A turn that answers another one's calls is pinned
    together with it."""
    if not mark.pinned or not mark.skipped:
        return []
    pinned = set(mark.pinned)
    places: set[int] = set()
    for place in range(min(mark.skipped, len(turns))):
        if turns[place].id in pinned:
            places.update(bound(turns, place))
    return sorted(place for place in places if place < mark.skipped)


def bound(turns: Sequence[Turn], place: int) -> range:
    """The places of the turns that cannot be shown without the one at `place`, itself among them."""
    start, end = place, place + 1
    while start > 0 and answers_before(turns[start].input):
        start -= 1
    while end < len(turns) and answers_before(turns[end].input):
        end += 1
    return range(start, end)


def answers_before(said: Sequence[Message]) -> bool:
    """Whether these messages begin with results of calls that were made before them."""
    first = next((message for message in said if message.role == "assistant" or message.tool_results), None)
    return first is not None and first.role != "assistant"


# --- what was removed -------------------------------------------------------------------------------------------------


def without(turn: Turn, mark: Mark) -> Turn:
    """The turn without what the mark says is removed of it; the same object where that is nothing."""
    gone: dict[int, set[int]] = {}
    for each in mark.removed:
        if each.turn == turn.id:
            gone.setdefault(each.message, set()).update(each.parts)
    if not gone:
        return turn
    left = [_left(message, gone[n]) if n in gone else message for n, message in enumerate(turn.messages)]
    return msgspec.structs.replace(turn, input=tuple(filter(None, left)), output=())


def _left(message: Message, gone: set[int]) -> Message | None:
    """The message without these of its parts; None where no part is left."""
    parts = tuple(part for n, part in enumerate(message.parts) if n not in gone)
    return msgspec.structs.replace(message, parts=parts) if parts else None


# --- what stands for turns --------------------------------------------------------------------------------------------


def is_cut(turns: Sequence[Turn], place: int, mark: Mark) -> bool:
    """Whether the mark shows the turn at this place cut short; pinned ones it does not."""
    return place < mark.shortened and turns[place].id not in mark.pinned


def summary_turn(text: str) -> Turn:
    """The exchange by which a model is told a summary: the user says it, and the model has read it."""
    return Turn(input=(user(f"{SUMMARY_OPENS}{text}{SUMMARY_ENDS}"),), output=(assistant(SUMMARY_READ),))


def shortened(turn: Turn) -> Turn:
    """The turn with the results of tools and the media in it cut; the same object where there are none."""
    said = turn.messages
    made = shortened_messages(said)
    return turn if made is said else msgspec.structs.replace(turn, input=tuple(made), output=())


def shortened_messages(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages with what can be cut in them cut; the same object where there is nothing."""
    made = [_shorter(message) for message in messages]
    return messages if all(new is old for new, old in zip(made, messages, strict=True)) else made


def _shorter(message: Message) -> Message:
    parts = tuple(_cut(part) for part in message.parts)
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    return msgspec.structs.replace(message, parts=parts)


def _cut(part: Part) -> Part:
    match part:
        case Image() | Audio() | Video() | File():
            return Text(in_words(part))
        case ToolResult():
            inner = tuple(_cut_inner(each) for each in part.parts)
            same = all(new is old for new, old in zip(inner, part.parts, strict=True))
            return part if same else msgspec.structs.replace(part, parts=inner)
    return part


def _cut_inner(part: Text | Image | Audio | Video | File) -> Text:
    if not isinstance(part, Text):
        return Text(in_words(part))
    if len(part.text) <= LONGEST_RESULT * 1.25:
        return part
    half = LONGEST_RESULT // 2
    left_out = len(part.text) - 2 * half
    return Text(f"{part.text[:half]}\n[… {left_out:,} characters left out …]\n{part.text[-half:]}")
