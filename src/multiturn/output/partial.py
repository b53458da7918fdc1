"""JSON as it streams in: the value so far, after every piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from multiturn.output.found import DECODER

_OPENING = re.compile(r"[{\[]")
_OBJECT = re.compile(r"\{")
_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\]*')
_TOKEN = re.compile(r"[-+.0-9A-Za-z]*")
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\(?:u(?P<high>[dD][89abAB]{_HEX}{{2}})\\u(?P<low>[dD][c-fC-F]{_HEX}{{2}})|u(?P<unit>{_HEX}{{4}})|(?P<char>.))",
    re.DOTALL,
)
_CUT_ESCAPE = re.compile(
    rf"\\(?:u(?:{_HEX}{{0,3}}|[dD][89abAB]{_HEX}{{2}}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?))?"
)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Partial:
    """The first JSON object or array of a text that comes in pieces, as plain data. What is before it and after it is
    passed over, and so is what only began like JSON. With `objects`, arrays do not count, such as "[1]" in a text; with
    `key`, the value is what stands under that key of the object.

    The value so far is a prefix of the final one: of an unfinished string its beginning, of an unfinished array or
    object the members so far; a number, true, false or null is there once it has ended, and a key once its value
    begins. It is plain data, not checked against any type.

    It is the same dicts and lists all along, which grow; copy what you want to keep as it was. A piece costs what it
    adds, whatever came before it.
    """

    def __init__(self, *, objects: bool = False, key: str | None = None) -> None:
        self._opening = _OBJECT if objects or key else _OPENING
        self._key = key
        self._root: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []  # the containers that are not closed yet, outermost first
        self._keys: list[str] = []  # for each of them, the key whose value is awaited
        self._text = ""  # of the open string, or the open number or word
        self._is_key = False  # whether the open string is a key
        self._cut = ""  # an escape whose end has not come
        self._state: Callable[[Partial, str, int], int] = Partial._before
        self._changed = False

    @property
    def value(self) -> Any:
        """The value so far, None before it begins."""
        if self._key is None:
            return self._root
        return self._root.get(self._key) if isinstance(self._root, dict) else None

    def add(self, piece: str) -> Any:
        """The value so far if this piece changed it, else None."""
        text, self._cut = self._cut + piece, ""
        self._changed = False
        at = 0
        while at < len(text):
            at = self._state(self, text, at)
        return self.value if self._changed else None

    # --- states: each reads on from a place in the text, and gives the place where the next one goes on -------------

    def _before(self, text: str, at: int) -> int:
        opening = self._opening.search(text, at)
        return self._begin(text[opening.start()], opening.start()) if opening else len(text)

    def _after(self, text: str, at: int) -> int:
        return len(text)

    def _before_value(self, text: str, at: int) -> int:
        at, char = _next(text, at)
        if not char:
            return at
        if char in '{["' or char == "-" or char.isalnum():
            return self._begin(char, at)
        return self._end(char, at) if char == "]" else self._fault(at)

    def _before_key(self, text: str, at: int) -> int:
        at, char = _next(text, at)
        if char == '"':
            self._is_key, self._text, self._state = True, "", Partial._in_string
            return at + 1
        return self._end(char, at) if char else at

    def _before_colon(self, text: str, at: int) -> int:
        at, char = _next(text, at)
        if char == ":":
            self._state = Partial._before_value
        return self._fault(at) if char not in (":", "") else at + len(char)

    def _after_value(self, text: str, at: int) -> int:
        at, char = _next(text, at)
        if char != ",":
            return self._end(char, at) if char else at
        self._state = Partial._before_key if isinstance(self._open[-1], dict) else Partial._before_value
        return at + 1

    def _in_string(self, text: str, at: int) -> int:
        pieces = []
        closed = False
        while at < len(text) and not closed:
            plain = _PLAIN.match(text, at)
            assert plain is not None
            pieces.append(plain[0])
            at = plain.end()
            if text[at : at + 1] == "\\":
                escape = None if _CUT_ESCAPE.fullmatch(text, at) else _ESCAPE.match(text, at)
                pieces.append(_meant(escape) if escape else "")
                self._cut, at = ("", escape.end()) if escape else (text[at:], len(text))
            elif at < len(text):
                closed, at = True, at + 1
        self._lengthen("".join(pieces))
        if closed and self._is_key:
            self._keys[-1] = self._text
            self._state = Partial._before_colon
        elif closed:
            self._state = Partial._after_value
        return at

    def _in_token(self, text: str, at: int) -> int:
        token = _TOKEN.match(text, at)
        assert token is not None
        self._lengthen(token[0])
        if token.end() == len(text):
            return len(text)
        try:
            self._put(DECODER.decode(self._text))
        except ValueError:
            return self._fault(token.end())
        self._state = Partial._after_value
        return token.end()

    # --- what the states do -----------------------------------------------------------------------------------------

    def _begin(self, char: str, at: int) -> int:
        """A value begins here."""
        if char in "{[":
            container: dict[str, Any] | list[Any] = {} if char == "{" else []
            self._put(container)
            self._open.append(container)
            self._keys.append("")
            self._state = Partial._before_key if char == "{" else Partial._before_value
            return at + 1
        self._text, self._is_key = "", False
        if char == '"':
            self._put("")
            self._state = Partial._in_string
            return at + 1
        self._state = Partial._in_token
        return at

    def _end(self, char: str, at: int) -> int:
        """The innermost container ends here, if this is its bracket. A comma before it is forgiven."""
        if char != ("}" if isinstance(self._open[-1], dict) else "]"):
            return self._fault(at)
        self._open.pop()
        self._keys.pop()
        self._state = Partial._after_value if self._open else Partial._after
        return at + 1

    def _fault(self, at: int) -> int:
        """It was not JSON: forget it, and look on from here."""
        self._changed = True
        self._root = None
        self._open, self._keys = [], []
        self._state = Partial._before
        return at

    def _put(self, value: Any) -> None:
        """A new value, where one is awaited."""
        self._changed = True
        if not self._open:
            self._root = value
        elif isinstance(container := self._open[-1], dict):
            container[self._keys[-1]] = value
        else:
            container.append(value)

    def _replace(self, value: str) -> None:
        container = self._open[-1]
        if isinstance(container, dict):
            container[self._keys[-1]] = value
        else:
            container[-1] = value

    def _lengthen(self, more: str) -> None:
        """The open string, number or word goes on. CPython lengthens a string in place where nothing else refers to
        it, so let go of it everywhere first: otherwise a long one would be copied with every piece."""
        shown = self._state is Partial._in_string and not self._is_key
        text, self._text = self._text, ""
        if shown:
            self._replace("")
        text += more
        self._text = text
        if shown:
            self._replace(text)
            self._changed = self._changed or bool(more)


def _next(text: str, at: int) -> tuple[int, str]:
    """Where the next character after white space is, and which; the empty one at the end."""
    space = _SPACE.match(text, at)
    assert space is not None
    return space.end(), text[space.end() : space.end() + 1]


def _meant(escape: re.Match[str]) -> str:
    """The character that an escape stands for; U+FFFD for half a surrogate pair."""
    if escape["char"]:
        return _SHORT.get(escape["char"], escape["char"])
    if escape["high"]:
        return chr(0x10000 + ((int(escape["high"], 16) & 0x3FF) << 10) + (int(escape["low"], 16) & 0x3FF))
    unit = int(escape["unit"], 16)
    return "\ufffd" if 0xD800 <= unit <= 0xDFFF else chr(unit)
