"""The limits that a JSON schema sets to a number or a string, and values moved inside them."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

Schema = dict[str, Any]

_EXACT = 2**53  # from here on, a float holds whole numbers only
MOST = 10_000  # characters or members; what asks for more gets this many


def number_within(number: Fraction, schema: Schema) -> int | float:
    """The number as JSON: inside the limits, whole for an integer, a multiple where one is asked for."""
    whole = schema.get("type") == "integer"
    step = Fraction(str(schema["multipleOf"])) if "multipleOf" in schema else Fraction(int(whole))
    low, high = lowest(schema), _bound(schema, "maximum", "exclusiveMaximum", -1)
    if step:
        number = math.floor(number / step) * step
        low = None if low is None else math.ceil(low / step) * step
        high = None if high is None else math.floor(high / step) * step
    number = number if low is None else max(number, low)
    number = number if high is None else min(number, high)
    return int(number) if whole or number.denominator == 1 or abs(number) > _EXACT else float(number)


def lowest(schema: Schema) -> Fraction | None:
    """The least number that the schema allows, if it sets one."""
    return _bound(schema, "minimum", "exclusiveMinimum", 1)


def _bound(schema: Schema, inclusive: str, exclusive: str, sign: int) -> Fraction | None:
    bounds = [Fraction(str(schema[inclusive]))] if inclusive in schema else []
    if exclusive in schema:
        bounds.append(Fraction(str(schema[exclusive])) + sign * _inside(schema))
    return (max(bounds) if sign > 0 else min(bounds)) if bounds else None


def _inside(schema: Schema) -> Fraction:
    """A step small enough to stay between two excluded limits."""
    if schema.get("type") == "integer":
        return Fraction(1)
    ends = [Fraction(str(schema[key])) for key in _ENDS if key in schema]
    return (max(ends) - min(ends)) / 2 if len(ends) > 1 else Fraction(1)


_ENDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def fits(text: str, schema: Schema) -> bool:
    """Whether the schema's pattern and lengths allow this text. A pattern that Python cannot read allows none."""
    try:
        if "pattern" in schema and not re.search(schema["pattern"], text):
            return False
    except (re.error, FutureWarning):  # the last where warnings are errors
        return False
    return bool(schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)))


def sized(text: str, schema: Schema) -> str:
    """Cut or padded to the schema's lengths."""
    padded = text.ljust(min(schema.get("minLength", 0), MOST), ".")
    return padded[: max(schema.get("maxLength", len(padded)), 0)]
