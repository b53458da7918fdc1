"""Counting, echoing, writing, measuring, quoting, summarising, and small talk."""

from __future__ import annotations

import pytest

from multiturn.messages import Message, assistant, system, user
from multiturn.models.offline.english import content_stems, proper_names, sentences, stem, with_digits
from multiturn.models.offline.model import answer_to
from multiturn.path import Path
from multiturn.request import Request


def answer(*said: Message, instructions: str | None = None) -> str:
    return answer_to(Request(path=Path(), input=said, instructions=instructions)).message.text


def talk(*said: str) -> str:
    """The answer to the last of these messages, after the model has answered the others."""
    messages: list[Message] = []
    for text in said:
        messages.append(user(text))
        messages.append(assistant(answer(*messages)))
    return messages[-1].text


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("Count to 4", "1, 2, 3, 4"),
        ("please count from 8 to 11.", "8, 9, 10, 11"),
        ("Count down from 3", "3, 2, 1"),
        ("count backwards from ten to seven", "10, 9, 8, 7"),
        ("Can you count from 5 down to 2?", "5, 4, 3, 2"),
        ("count to 20 by 5", "1, 6, 11, 16"),
        ("count from 0 to 6 in steps of 2", "0, 2, 4, 6"),
        ("count down from 9 to 3 by 2", "9, 7, 5, 3"),
        ("count from -2 to 1", "-2, -1, 0, 1"),
        ("count to " + "9" * 300, "I count 10000 numbers at most in one answer."),
        ("count to 99999999", "I count 10000 numbers at most in one answer."),
    ],
)
def test_counting(request_: str, expected: str) -> None:
    assert talk(request_) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("Say good evening", "good evening"),
        ("echo 2 + 2", "2 + 2"),
        ("Repeat after me: one. Two? three!", "one. Two? three!"),
        ("Reply with exactly: pong", "pong"),
        ('Please say "tick tock"', "tick tock"),
        ("respond with only the word yes", "yes"),
        ("Say ho 3 times", "ho ho ho"),
        ("repeat 'la' twice", "la la"),
    ],
)
def test_echoing(request_: str, expected: str) -> None:
    assert talk(request_) == expected


def test_repeating_what_was_said_before() -> None:
    assert talk("What is 3 * 3?", "Say that again.") == "3 × 3 = 9."
    assert talk("The door is blue.", "Repeat what I just said") == "The door is blue."
    assert talk("Repeat that") == "I have not said anything yet."


@pytest.mark.parametrize(
    ("request_", "number"),
    [
        ("Write 50 words", 50),
        ("write a long text of 3,000 words", 3000),
        ("Write a 500-word essay about glaciers", 500),
        ("Tell me a story in exactly seventy words", 70),
        ("Tell me a very long story about a bear.", 1000),
        ("generate one thousand words of text", 1000),
        ("write 1 word", 1),
    ],
)
def test_as_many_words_are_written_as_asked_for(request_: str, number: int) -> None:
    assert len(talk(request_).split()) == number


def test_a_story_is_about_its_topic_and_the_same_each_time() -> None:
    story = talk("Tell me a story about a clockmaker in 60 words")
    assert "clockmaker" in story
    assert story == talk("Tell me a story about a clockmaker in 60 words")
    assert story != talk("Tell me a story about a beekeeper in 60 words")


def test_no_two_sentences_of_a_long_text_are_the_same() -> None:
    written = sentences(talk("write 2000 words about rain"))
    assert len(set(written)) == len(written)


@pytest.mark.parametrize(
    "request_",
    ["Tell me how many words I wrote.", "Give me the weather report for Ulm.", "Tell me the first word of the text."],
)
def test_these_ask_for_no_story(request_: str) -> None:
    assert "story" not in talk(request_)


def test_too_long_a_text_is_refused() -> None:
    assert "100000 characters" in talk("say " + "x" * 50_000 + " 999999999 times")
    assert talk("write " + "9" * 5000 + " words")
    assert talk("write 10000000 words") == "I write 100000 words at most in one answer."


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ('How many words are in "to be or not to be"?', "6 words"),
        ("How many letters does Wednesday have?", "9 letters"),
        ("how many r's are in raspberry", "3 “r”s"),
        ("How many vowels are there in the word queue?", "4 vowels"),
        ("How many characters are in 'a b'?", "3 characters"),
    ],
)
def test_measuring(question: str, expected: str) -> None:
    assert expected in talk(question)


def test_messages_are_counted() -> None:
    assert talk("Hi", "Hello", "How many messages have I sent?") == "You have sent 3 messages, this one included."
    assert talk("Hi", "Hello", "How many messages have you sent so far?") == "I have sent 2 messages."
    assert "5 messages" in talk("Hi", "Hello", "How many messages are in this conversation?")
    assert talk("one two", "How many words have I written?") == "You have written 8 words."


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did I say first?", "You said: “The tide is high.”"),
        ("What was the first thing I said?", "You said: “The tide is high.”"),
        ("What was my second message?", "You said: “What is 6 * 7?”"),
        ("What was my last question?", "You said: “I like plums.”"),
        ("What did I just say?", "You said: “I like plums.”"),
        ("what did i say about the tide", "You said: “The tide is high.”"),
        ("What did I say about whales?", "You said nothing about whales."),
        ("What did you say first?", "I said: “Noted: the tide is high.”"),
        ("What was your last answer?", "I said: “Noted: you like plums.”"),
        ("What was my tenth message?", "You have said only 3 things before this."),
    ],
)
def test_quoting(question: str, expected: str) -> None:
    assert talk("The tide is high.", "What is 6 * 7?", "I like plums.", question) == expected


def test_there_may_be_nothing_to_quote() -> None:
    assert talk("What did I say first?") == "You have said nothing before this."


def test_a_summary_holds_what_matters() -> None:
    said = ("I'm Noor.", "My favourite city is Fez.", "What is 9 * 9?", "The ferry to Capri left without us again.")
    summary = talk(*said, "Please summarise our conversation.")
    for expected in ("name is Noor", "favourite city is Fez", "9 × 9 = 81", "ferry to Capri"):
        assert expected in summary
    assert "Summary of 8 messages" in summary


def test_a_summary_can_be_read_instead_of_the_history() -> None:
    summary = talk("I'm Noor.", "I live in Fez.", "My cat is called Zaza.", "I like mint.", "Summarize this chat")
    for question, expected in (
        ("What's my name?", "Noor"),
        ("Where do I live?", "Fez"),
        ("What is my cat called?", "Zaza"),
        ("What do I like?", "mint"),
    ):
        assert expected in answer(system(summary), user(question))
        assert expected in answer(user(question), instructions=f"Summary of the conversation so far: {summary}")


def test_instructions_may_ask_for_the_summary() -> None:
    transcript = user("user: My name is Noor.\nassistant: Nice to meet you, Noor.\nuser: What is 2 + 2?")
    summary = answer(transcript, instructions="Summarise the conversation below in a few sentences.")
    assert "name is Noor" in summary
    assert "2 + 2" in summary


def test_an_empty_conversation_has_no_summary() -> None:
    assert talk("Summarise the conversation") == "There is nothing to summarise yet."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["Hello there!"], "Hello!"),
        (["My name is Kay.", "good morning"], "Hello, Kay!"),
        (["My name is Kay.", "Thanks a lot"], "You are welcome, Kay."),
        (["Hi! My name is Kay."], "Hello! Nice to meet you, Kay."),
        (["Bye!"], "Goodbye!"),
        (["Hi! What is 1 + 1?"], "1 + 1 = 2."),
        (["ok"], "All right."),
        (["Which model are you?"], "multiturn's offline model"),
        (["Are you ChatGPT?"], "multiturn's offline model"),
        (["What can you do?"], "I recall what you tell me"),
        (["xyzzy"], "multiturn's offline model"),
        (["Why is the sky blue?"], "nothing in them answers “Why is the sky blue?”"),
    ],
)
def test_small_talk(said: list[str], expected: str) -> None:
    assert expected in talk(*said)


def test_instructions_are_quoted_when_asked_for() -> None:
    asked = user("What are your instructions?")
    assert "“Speak like a sailor.”" in answer(asked, instructions="Speak like a sailor.")
    assert "“Speak like a sailor.”" in answer(system("Speak like a sailor."), asked)
    assert "no instructions" in answer(asked)


def test_a_message_that_is_not_understood_is_told_back() -> None:
    text = talk("Hello", "Plumbus the flurb")
    assert "Plumbus the flurb" in text
    assert "3 messages" in text


def test_what_it_is_and_can_do_is_told_at_length_only_once() -> None:
    again = talk("Flurb", "Plumbus")
    assert again == "I am multiturn's offline model. I have read 3 messages, and I have no skill for “Plumbus”."


def test_there_may_be_no_question_at_all() -> None:
    assert "no question" in answer()
    assert "no question" in answer(user(""))
    assert "no question" in answer(system("Be brief."))


# --- English --------------------------------------------------------------------------------------------------------


def test_sentences_end_where_people_end_them() -> None:
    text = "Dr. Who left. J. R. Hartley came!\nIt cost 3.50, really? Yes"
    assert sentences(text) == ["Dr. Who left.", "J. R. Hartley came!", "It cost 3.50, really?", "Yes"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("weather", "Weathers"), ("add", "adding"), ("colour", "colors"), ("city", "cities"), ("convert", "converter"),
     ("translate", "translation"), ("remind", "reminders"), ("run", "running"), ("calculate", "calculator")],
)  # fmt: skip
def test_related_words_have_one_root(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_names_of_tools_are_several_words() -> None:
    assert content_stems("get_stock_price") == content_stems("StockPrices") == {stem("stock"), stem("price")}


def test_numbers_in_words_become_digits() -> None:
    text = "twenty-three and two hundred and five, two and two, a million"
    assert with_digits(text) == "23 and 205, 2 and 2, a 1000000"


def test_names_are_found_by_their_capitals() -> None:
    assert list(proper_names("Alice and Bob met Ludwig van Beethoven in New York on Friday. Then he left.")) == [
        "Alice",
        "Bob",
        "Ludwig van Beethoven",
        "New York",
    ]
