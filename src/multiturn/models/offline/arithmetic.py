"""Arithmetic in words, across turns: `15 * 23`, then `now divide that by 5`.

Words are rewritten into symbols; what then is not one whole expression is not arithmetic. `it`, `that`, and an
operation without its first operand mean the last number of the dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from multiturn.messages import Message
from multiturn.models.offline.dialogue import Question, text_of
from multiturn.models.offline.english import NUMBER, american, is_question, with_digits
from multiturn.models.offline.expressions import NoAnswer, NotAnExpression, evaluate, show
from multiturn.models.offline.smalltalk import ABOUT

_LAST = "last"
_LONGEST = 400
_FAR_BACK = 1000  # characters of a text in which its last number is looked for
_ANSWER = re.compile(rf"(?:(?<![\w.,])(-?\d+)/(\d+) ≈ )?(?<![\w.,])([-−]?{NUMBER})(?![\d])")
_FILLER = re.compile(
    r"(?:ok|okay|so|now|then|next|and|also|but|please|well|great|thanks|cool|finally|could you|can you|would you"
    r"|tell me|calculate|compute|evaluate|work out|solve|take|start with|begin with"
    r"|what(?:'s| is| are| about| would)?|whats|how (?:much|many)(?: is| are)?|how about|is|be"
    r"|the (?:result|answer|value) of|do you know|give me)\b[\s,:]*",
    re.IGNORECASE,
)
_ENDING = re.compile(
    r"(?:\s*[=?!.,;:]|\s+(?:equals?|makes?|is|be|give|please|now|then|too|altogether|in total|exactly|what|to that"
    r"|(?:equals?|come|is) to))+$"
)
_STEP = re.compile(r"(?:,|;|\.)?\s*\b(?:and )?then\b\s*|[,;]\s*(?:and\s+)?|\s+and\s+")
_PRONOUN = re.compile(
    r"\b(?:it|that|this|(?:that|this|the)(?: last| previous)? (?:result|number|answer|sum|total|value)(?! of))\b"
)
_NAMED = re.compile(r"\b(?:my|our|the) ")
_A, _B = r"(\S.*?)", r"(\S.*)"
_REWRITES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"[×·]|(?<=[\d)])\s*x\s*(?=[\d(])", " * "),
        (r"÷", "/"),
        (r"[−–]", "-"),
        (r"\^", "**"),
        (r"√", " sqrt "),
        (rf"\b(?:subtract|take(?: away)?|deduct) {_A} from {_B}", r"(\2) - (\1)"),
        (rf"\badd {_A} (?:and|to|with) {_B}", r"(\1) + (\2)"),
        (rf"\bmultiply {_A} (?:and|by|with) {_B}", r"(\1) * (\2)"),
        (rf"\bdivide {_A} by {_B}", r"(\1) / (\2)"),
        (rf"\b(?:increase|raise) {_A} by {_B}", r"(\1) + \2"),
        (rf"\b(?:decrease|reduce|lower) {_A} by {_B}", r"(\1) - \2"),
        (r"\b(?:the )?sum of (.+)", lambda match: re.sub(r",\s+(?:and\s+)?|\s+and\s+", " + ", match[1])),
        (rf"\b(?:the )?product of {_A} and {_B}", r"(\1) * (\2)"),
        (rf"\b(?:the )?difference (?:between|of) {_A} and {_B}", r"(\1) - (\2)"),
        (rf"\b(?:the )?(?:quotient|ratio) of {_A} and {_B}", r"(\1) / (\2)"),
        (r"(?:%|\bper ?cent) of(?: the)?\b", "/ 100 *"),
        (r"\bper ?cent\b", "%"),
        (rf"\b(?:a |one )?(?:half(?: of)?|halve) {_B}", r"(\1) / 2"),
        (rf"\b(?:a|one) third of {_B}", r"(\1) / 3"),
        (rf"\b(?:a|one) (?:quarter|fourth) of {_B}", r"(\1) / 4"),
        (rf"\b(?:double|twice) {_B}", r"2 * (\1)"),
        (rf"\b(?:triple|thrice) {_B}", r"3 * (\1)"),
        (rf"\b(?:the )?(?:square root of|sqrt(?: of)?) ?{_B}", r"sqrt (\1)"),
        (rf"\b(?:the )?square (?:of )?{_B}", r"(\1) ** 2"),
        (rf"\b(?:the )?cube (?:of )?{_B}", r"(\1) ** 3"),
        (r"\bsquared\b", " ** 2"),
        (r"\bcubed\b", " ** 3"),
        (r"\b(?:raised )?to the (?:power of )?(\d+)(?:st|nd|rd|th)?(?: power)?\b", r"** \1"),
        (r"\braised to\b", "**"),
        (r"\bdoubled\b", "* 2"),
        (r"\bhalved\b", "/ 2"),
        (r"\b(?:times|multiplied (?:by|with)|multiply (?:by|with)|multiplying by)\b", "*"),
        (r"\b(?:divided by|divide by|over)\b", "/"),
        (r"\b(?:plus|add|added to|increased by)\b", "+"),
        (r"\b(?:minus|subtract|less|take away|decreased by)\b", "-"),
        (r"\b(?:modulo|mod)\b", "%"),
    )
)
_OPERATOR = re.compile(r"[-+*/%]|sqrt")
_PROBLEM = re.compile(r"\d\s*[-+*/^×÷%]\s*\d|\b(?:times|plus|minus|divided?|multipl\w+|squared)\b", re.IGNORECASE)
_NOT_RESULTS = (ABOUT, "Summary of")
_EMBEDDED = re.compile(
    rf"(?<![\w.,-])\(*-?{NUMBER}(?:[\s)]*(?:\*\*|[*/+×÷^]|\s-\s|−|\bx\b)[\s(]*-?{NUMBER})+\)*(?![\w-])"
)


def calculate(question: Question) -> str | None:
    """Answers a sentence that is arithmetic as a whole, or step by step (`add 5, then double it`)."""
    return _worked_out(question.text, question)


def calculate_inside(question: Question) -> str | None:
    """Answers the one expression that stands somewhere in a question: `I have 3 * 4 eggs, how many is that?`."""
    found = _EMBEDDED.findall(question.text) if is_question(question.text) else []
    return _worked_out(found[0], question) if len(found) == 1 else None


def result_of(question: Question) -> Fraction | None:
    """The number that a question's arithmetic comes to; None if it is not arithmetic or has no result."""
    answer = calculate(question) or calculate_inside(question)
    return _last_in(answer) if answer and "=" in answer else None


def _worked_out(text: str, question: Question) -> str | None:
    try:
        return _calculate(_with_facts(_plain(text), question), question)
    except NotAnExpression:
        return None
    except NoAnswer as reason:
        return str(reason)


def _calculate(text: str, question: Question) -> str:
    try:
        return _answer(_symbols(text), question)
    except NotAnExpression:
        steps = [step for piece in _STEP.split(text) if (step := _plain(piece))]
        if len(steps) < 2:
            raise
    return _step_by_step(steps, question)


def _step_by_step(steps: list[str], question: Question) -> str:
    written: list[str] = []
    last = None
    for step in steps:
        symbols = _symbols(step)
        if not written and re.fullmatch(NUMBER, symbols):  # "take 10, ..."
            last = evaluate(symbols)
        else:
            written.append(_answer(symbols, question, last))
            last = _last_in(written[-1])
    if not written:
        raise NotAnExpression(steps[0])
    return " ".join(written)


def _with_facts(text: str, question: Question) -> str:
    """The text with numbers in the place of what the dialogue says they are: `my age + 1` as `34 + 1`."""
    if not _NAMED.search(text):
        return text
    text = american(text)
    for key, fact in question.dialogue.facts.items():
        if number := re.search(rf"-?{NUMBER}", with_digits(fact.value)):
            text = re.sub(rf"\b(?:my|our|the) {re.escape(key)}(?!\w)", number[0], text)
    return text


def _answer(symbols: str, question: Question, last: Fraction | None = None) -> str:
    """`15 × 23 = 345.`; `last` is what an earlier step came to."""
    if symbols[:1] in ("*", "/", "%", "+") or re.match(r"-\s", symbols):
        symbols = f"{_LAST} {symbols}"
    if not _OPERATOR.search(symbols) or not re.fullmatch(rf"(?:{_LAST}|sqrt|[\d\s.,()*/%+-])+", symbols):
        raise NotAnExpression(symbols)
    shown = symbols
    if _LAST in symbols:
        last = last_number(question) if last is None else last
        if last is None:
            raise NoAnswer("There is no number in our conversation yet to go on with.")
        shown = symbols.replace(_LAST, f"({show(last).split(' ')[0]})")
        symbols = symbols.replace(_LAST, f"({last})")
    return f"{_pretty(shown)} = {show(evaluate(symbols))}."


def _plain(text: str) -> str:
    if len(text) > _LONGEST:
        raise NotAnExpression(text[:_LONGEST])
    text = with_digits(text.lower().replace("’", "'")).strip()
    while (filler := _FILLER.match(text)) and filler.end() < len(text):
        text = text[filler.end() :]
    return _ENDING.sub("", text).strip()


def _symbols(text: str) -> str:
    text = _PRONOUN.sub(_LAST, text)
    for pattern, instead in _REWRITES:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


def _pretty(expression: str) -> str:
    expression = re.sub(rf"\((?:\s*\()*\s*({NUMBER})\s*\)(?:\s*\))*", r"\1", expression)
    expression = re.sub(r"\s*\*\*\s*", "^", expression)
    expression = re.sub(r"(?<=[\d)%])\s*([-+*/]|%(?=\s*[\d(]))\s*", r" \1 ", expression)
    return expression.replace("*", "×").replace("/ ", "÷ ").replace("sqrt ", "√").strip()


def last_number(question: Question) -> Fraction | None:
    """The number that `it` means: the last one in the latest text that has any, before this question."""
    for answer in reversed(question.answers):
        if (number := _last_in(answer)) is not None:
            return number
    dialogue = question.dialogue
    for message in reversed(dialogue.history):
        text = text_of(message) if _has_result(message) else ""
        if (number := _last_in(text)) is not None:
            return number
    return None


def _has_result(message: Message) -> bool:
    """Whether a number in it can be meant: in an answer about something, or in a statement, but not in a problem."""
    if message.role == "assistant":
        return not message.text.startswith(_NOT_RESULTS)
    return message.role == "user" and not is_question(message.text) and not _PROBLEM.search(message.text)


def _last_in(text: str) -> Fraction | None:
    numbers = list(_ANSWER.finditer(text[-_FAR_BACK:]))
    if not numbers:
        return None
    last = numbers[-1]
    if last[1]:
        return Fraction(int(last[1]), int(last[2]))
    return Fraction(last[3].replace(",", "").replace("−", "-"))
