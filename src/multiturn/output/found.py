"""The JSON in what a model wrote: alone, in a fence, or with words around it."""

from __future__ import annotations

import json
import re
from typing import Any

DECODER = json.JSONDecoder(strict=False, parse_constant=str)
"""Lenient where models are sloppy: line breaks inside strings pass. NaN, which JSON has not, is the word "NaN"."""

_OPENING = re.compile(r"[{\[]")
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\(?:u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|(?P<half>u[dD][89a-fA-F]{_HEX}{{2}})|.)", re.DOTALL
)
_NEAR = 20  # characters shown before and after a fault
_TRIES = 1000  # brackets that open no JSON, after which none is looked for any more


class NoJson(Exception):
    """There is none; the text says what is there instead."""


def found_in(text: str) -> list[Any]:
    """Every JSON value in the text: the text as a whole, or else the objects and arrays in it that stand in no other,
    in order. Half a surrogate pair, which no file or store takes, becomes U+FFFD. Raises `NoJson`."""
    text = _ESCAPE.sub(lambda match: "\\ufffd" if match["half"] else match[0], text.strip())
    try:
        return [DECODER.decode(text)]
    except RecursionError:
        raise NoJson("the JSON is nested too deep") from None
    except ValueError:
        return _inside(text)


def _inside(text: str) -> list[Any]:
    found: list[Any] = []
    faults: list[tuple[int, str]] = []
    opening = _OPENING.search(text)
    while opening and len(faults) < _TRIES:
        at = opening.start()
        try:
            value, at = DECODER.raw_decode(text, at)
            found.append(value)
        except RecursionError:
            raise NoJson("the JSON is nested too deep") from None
        except ValueError as error:
            at = max(getattr(error, "pos", at), at + 1)  # on from where it broke, not to read the same again
            faults.append((at - opening.start(), _described(error, text, at)))
        opening = _OPENING.search(text, at)
    if not found:
        raise NoJson(max(faults, default=(0, "there is no JSON in it"))[1])
    return found


def _described(error: ValueError, text: str, at: int) -> str:
    if at >= len(text) or str(error).startswith("Unterminated"):
        return f"the JSON is not finished, it breaks off after {text[-_NEAR:]!r}"
    what = getattr(error, "msg", str(error))
    return f"the JSON is not valid: {what} between {text[max(0, at - _NEAR) : at]!r} and {text[at : at + _NEAR]!r}"
