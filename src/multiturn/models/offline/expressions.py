"""Arithmetic in symbols: `+ - * / % **`, parentheses, a percent sign after a number, `sqrt`. Exact, by fractions.

sum      = product (("+" | "-") product)*        200 + 10% is 220, as on a pocket calculator
product  = signed (("*" | "/" | "%") signed)*    % between two operands is the remainder, as in Python
signed   = ("-" | "+") signed | power
power    = root ["**" signed]                    groups to the right, and before a sign: -2 ** 2 is -4
root     = "sqrt" root | operand ["%"]
operand  = number | "(" sum ")"
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from fractions import Fraction

from multiturn.models.offline.english import NUMBER

_TOKEN = re.compile(rf"\s*({NUMBER}|\*\*|[-+*/%()]|sqrt)")
_MAX_BITS = 4096
_MAX_LENGTH = 400
_MAX_DEPTH = 40
_MAX_PLACES = 30


class NotAnExpression(ValueError):
    """The text is something else."""


class NoAnswer(ValueError):
    """It is arithmetic, but there is no result; the message is a sentence that says why."""


def evaluate(expression: str) -> Fraction:
    """The exact value. Raises `NotAnExpression`, or `NoAnswer` for division by zero and results beyond all use."""
    parser = _Parser(_tokens(expression))
    value = parser.sum()
    if parser.next is not None:
        raise NotAnExpression(expression)
    return value


def show(value: Fraction) -> str:
    """The value as an exact decimal where that ends, else as `10/3 ≈ 3.333333333`."""
    if value.denominator == 1:
        return str(value.numerator)
    places = _decimal_places(value.denominator)
    if places is not None and places <= _MAX_PLACES:
        scaled = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        return f"{'-' if value < 0 else ''}{scaled[:-places]}.{scaled[-places:]}"
    about = Context(prec=10).divide(Decimal(value.numerator), Decimal(value.denominator))
    return f"{value} ≈ {about}"


def _decimal_places(denominator: int) -> int | None:
    places = 0
    while denominator % 10 == 0:
        denominator, places = denominator // 10, places + 1
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator, places = denominator // prime, places + 1
    return places if denominator == 1 else None


def _tokens(expression: str) -> list[str]:
    expression = expression.strip()
    if len(expression) > _MAX_LENGTH:
        raise NotAnExpression(expression[:40])
    tokens, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise NotAnExpression(expression)
        tokens.append(match[1])
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._percent_at = -1  # where a percentage ended, to tell `200 + 10%` from `200 + 0.1`

    @property
    def next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> str:
        token = self.next
        if token is None:
            raise NotAnExpression("it ends too early")
        self._at += 1
        return token

    def sum(self) -> Fraction:
        value = self._product()
        while self.next in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            right = self._product()
            percent = self._percent_at == self._at
            value = _checked(value * (1 + sign * right) if percent else value + sign * right)
            self._percent_at = -1
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while self.next in ("*", "/", "%"):
            operator, right = self._take(), self._signed()
            self._percent_at = -1
            if operator != "*" and right == 0:
                raise NoAnswer("Dividing by zero has no result.")
            value = _checked(value * right if operator == "*" else value / right if operator == "/" else value % right)
        return value

    def _signed(self) -> Fraction:
        self._deeper()
        if self.next in ("+", "-"):
            value = -self._signed() if self._take() == "-" else self._signed()
        else:
            value = self._power()
        self._depth -= 1
        return value

    def _power(self) -> Fraction:
        base = self._root()
        if self.next == "**":
            self._take()
            return _power(base, self._signed())
        return base

    def _root(self) -> Fraction:
        if self.next == "sqrt":
            self._take()
            self._deeper()
            root = _square_root(self._root())
            self._depth -= 1
            return root
        value = self._operand()
        if self.next == "%" and not self._operand_follows():
            self._take()
            self._percent_at = self._at
            value /= 100
        return value

    def _operand_follows(self) -> bool:
        after = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ")"
        return after[0].isdigit() or after[0] in "(.s"

    def _operand(self) -> Fraction:
        token = self._take()
        if token == "(":
            value = self.sum()
            if self._take() != ")":
                raise NotAnExpression("a parenthesis is open")
            self._percent_at = -1
            return value
        if token[0].isdigit() or token[0] == ".":
            return Fraction(token.replace(",", ""))
        raise NotAnExpression(token)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NoAnswer("That has too many parentheses for me.")


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > _MAX_BITS:
        raise NoAnswer("That number is too large for me to write out.")
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise NoAnswer("I only raise to whole powers.")
    if base == 0 and exponent < 0:
        raise NoAnswer("Dividing by zero has no result.")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(exponent) > _MAX_BITS:
        raise NoAnswer("That number is too large for me to write out.")
    if bits <= 1 or base == 0:  # 0, 1 and -1, to any power
        return Fraction(1 if exponent == 0 else base ** (int(exponent) % 2 or 2))
    return Fraction(base ** int(exponent))


def _square_root(value: Fraction) -> Fraction:
    if value < 0:
        raise NoAnswer("A negative number has no real square root.")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise NoAnswer(f"The square root of {show(value)} is not a fraction, and I only calculate exactly.")
    return root
