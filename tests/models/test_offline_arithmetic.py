"""Arithmetic: exact, in symbols and in words, over several turns."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.messages import Message, assistant, user
from multiturn.models.offline.expressions import NoAnswer, NotAnExpression, evaluate, show
from multiturn.models.offline.model import answer_to
from multiturn.path import Path
from multiturn.request import Request


def talk(*said: str | Message) -> str:
    """The answer to the last of these messages, after the model has answered the user's others."""
    messages: list[Message] = []
    answer = ""
    for message in said:
        messages.append(user(message) if isinstance(message, str) else message)
        if messages[-1].role == "user":
            answered = answer_to(Request(path=Path(), input=tuple(messages))).message
            messages.append(answered)
            answer = answered.text
    return answer


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("7 * 6", "42"),
        ("What is 144 / 12?", "= 12."),
        ("what's 0.1 + 0.2", "= 0.3."),
        ("Calculate (2 + 3) * 4 - 1 please", "= 19."),
        ("how much is 2 ** 10?", "= 1024."),
        ("3^4 =", "= 81."),
        ("12 × 12", "= 144."),
        ("9 ÷ 4", "= 2.25."),
        ("1,250 + 750", "= 2000."),
        ("-5 + 3", "= -2."),
        ("17 % 5", "= 2."),
        ("10 / 4 / 5", "= 0.5."),
        ("6x7", "= 42."),
        ("What is 8 times 9?", "= 72."),
        ("eleven plus twenty-two", "= 33."),
        ("two hundred and five minus six", "= 199."),
        ("what is 100 divided by 8", "= 12.5."),
        ("5 squared", "= 25."),
        ("2 to the power of 8", "= 256."),
        ("25 percent of 80", "= 20."),
        ("What's 15% of 60?", "= 9."),
        ("200 + 10%", "= 220."),
        ("half of 90", "= 45."),
        ("a quarter of 20", "= 5."),
        ("double 21", "= 42."),
        ("the square root of 81", "= 9."),
        ("the sum of 4, 5 and 6", "= 15."),
        ("what is the product of 7 and 8?", "= 56."),
        ("the difference between 20 and 4", "= 16."),
        ("subtract 3 from 10", "= 7."),
        ("Multiply 6 by 7", "= 42."),
        ("divide 9 by 2", "= 4.5."),
        ("add 2 and 3", "= 5."),
        ("increase 50 by 20%", "= 60."),
        ("10 / 3", "10/3 ≈ 3.333333333"),
        ("take 10, add 5, then double it", "= 30."),
        ("Could you tell me what is 3 plus 4?", "= 7."),
        ("I have 3 * 4 eggs; how many is that?", "= 12."),
    ],
)
def test_sums_in_many_words(question: str, expected: str) -> None:
    assert expected in talk(question)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["12 * 12", "divide that by 6"], "= 24."),
        (["12 * 12", "Now add 6.", "and double it"], "= 300."),
        (["50 + 50", "half of that"], "= 50."),
        (["50 + 50", "subtract 1 from it"], "= 99."),
        (["50 + 50", "minus 30%"], "= 70."),
        (["7 + 1", "and times 2?"], "= 16."),
        (["7 + 1", "* 4"], "= 32."),
        (["7 + 1", "squared"], "= 64."),
        (["7 + 1", "What is the square root of the result times 2?"], "= 4."),
        (["10 / 3", "times 3"], "= 10."),
        (["1 / 7", "multiply it by 7"], "= 1."),
        (["10 - 30", "add 5 to that"], "= -15."),
        (["10 - 30", "square it"], "= 400."),
        (["5 * 5", "My name is Kim.", "thanks!", "plus 1"], "= 26."),  # talk in between
        (["5 * 5", "1 / 0", "plus 1"], "= 26."),  # a failure in between leaves nothing behind
        (["5 * 5", "What is the airspeed of a swallow?", "plus 1"], "= 26."),
        (["I have 12 apples.", "Double that."], "= 24."),  # a number that was stated
        (["what is 15 + 15? Divide that by 10."], "= 3."),  # within one message
    ],
)
def test_sums_go_on_from_the_last_number(said: list[str], expected: str) -> None:
    assert expected in talk(*said)


@pytest.mark.parametrize(
    ("statement", "question", "expected"),
    [
        ("My age is 34.", "What is my age times 2?", "= 68."),
        ("The budget is 1,200 euros.", "half of the budget", "= 600."),
        ("My favourite number is seven.", "Add 1 to my favorite number", "= 8."),
    ],
)
def test_facts_that_are_numbers_can_be_calculated_with(statement: str, question: str, expected: str) -> None:
    assert expected in talk(statement, "hello", question)


def test_an_answer_of_another_model_is_read_too() -> None:
    other = assistant("Sure! Adding those up, you get **1,500** in total.")
    assert "= 750." in talk(user("add up my bills"), other, "divide that by 2")


def test_another_history_gives_another_result() -> None:
    assert talk("4 * 5", "add 1") != talk("4 * 6", "add 1")


def test_there_must_be_a_number_to_go_on_from() -> None:
    assert talk("double it") == "There is no number in our conversation yet to go on with."


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("1 / 0", "zero"),
        ("5 % 0", "zero"),
        ("0 ** -1", "zero"),
        ("divide 7 by 0", "zero"),
        ("9 ** 9 ** 9", "too large"),
        ("10 ** 5000", "too large"),
        ("2 ** 0.5", "whole powers"),
        ("the square root of 2", "only calculate exactly"),
        ("sqrt(-4)", "negative"),
        ("(" * 60 + "1 + 1" + ")" * 60, "too many parentheses"),
    ],
)
def test_what_has_no_result_gets_a_sentence(question: str, reason: str) -> None:
    assert reason in talk(question)


@pytest.mark.parametrize(
    "text",
    ["", "42", "1 +", "(1 + 2", "1 2", "a + b", "2 + )", "__import__('os')", "1 + 1; 2", "+", "9" * 500 + " + 1"],
)
def test_these_are_not_expressions(text: str) -> None:
    if text == "42":
        assert evaluate(text) == 42  # a number alone is one, though no arithmetic
    else:
        with pytest.raises(NotAnExpression):
            evaluate(text)


@pytest.mark.parametrize(
    "text", ["Call me at 555-1234.", "We met on 2024-05-01", "It is open 24/7", "and/or", "3-7 days"]
)
def test_these_are_not_sums(text: str) -> None:
    assert " = " not in talk(text)


# --- against Python -------------------------------------------------------------------------------------------------

_numbers = st.one_of(
    st.integers(0, 999).map(str),
    st.decimals("0", "99", places=2, allow_nan=False, allow_infinity=False).map(str),
)


def _joined(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([" + ", " - ", " * ", "/", "*", "-"])
    return st.one_of(
        st.tuples(children, operators, children).map("".join),
        st.tuples(children, children).map(lambda pair: f"({pair[0]}) % ({pair[1]})"),
        children.map(lambda inner: f"({inner})"),
        children.map(lambda inner: f"-{inner}"),
        st.tuples(children, st.sampled_from(["**2", " ** 3", "**0"])).map(lambda pair: f"({pair[0]}){pair[1]}"),
    )


def _python(expression: str) -> Fraction | None:
    """What Python makes of it, with fractions for its numbers; None for a division by zero."""
    exact = re.sub(r"(?<![\w.*])\d+(?:\.\d+)?|(?<=\*\*)\d+|(?<=\*)\d+(?:\.\d+)?", r"F('\g<0>')", expression)
    try:
        return Fraction(eval(exact, {"F": Fraction}))
    except ZeroDivisionError:
        return None


@given(st.recursive(_numbers, _joined, max_leaves=8))
def test_expressions_come_to_what_python_says(expression: str) -> None:
    expected = _python(expression)
    value: Fraction | None
    try:
        value = evaluate(expression)
    except NoAnswer as reason:
        value = None if "zero" in str(reason) else expected  # or too large to write out
    assert value == expected


@given(st.fractions())
def test_what_is_shown_reads_back_as_the_same_number(value: Fraction) -> None:
    shown = show(value)
    assert Fraction(shown.split(" ≈ ")[0]) == value


@given(st.integers(-9999, 9999), st.integers(-9999, 9999), st.integers(1, 99))
def test_two_turns_come_to_what_python_says(left: int, right: int, divisor: int) -> None:
    answer = talk(f"{left} + {right}", f"divide that by {divisor}")
    assert answer.endswith(f" = {show(Fraction(left + right, divisor))}.")


@given(st.text(alphabet="0123456789+-*/%(). ,^x×÷", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    talk("2 + 2", text)
