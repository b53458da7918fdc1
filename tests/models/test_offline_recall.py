"""What the offline model remembers: statements in many words, questions in others."""

from __future__ import annotations

import pytest

from multiturn.messages import Message, Text, assistant, developer, system, user
from multiturn.models.offline.facts import gather
from multiturn.models.offline.model import answer_to
from multiturn.models.offline.statements import facts_in
from multiturn.path import Path
from multiturn.request import Request


def talk(*said: str, instructions: str | None = None) -> str:
    """The answer to the last of these messages, after the model has answered the others."""
    messages = [user(said[0])]
    for text in said[1:]:
        messages += [_answer(messages, instructions), user(text)]
    return _answer(messages, instructions).text


def _answer(messages: list[Message], instructions: str | None = None) -> Message:
    return answer_to(Request(path=Path(), input=tuple(messages), instructions=instructions)).message


@pytest.mark.parametrize(
    ("said", "question", "expected"),
    [
        # names
        (["My name is Priya."], "So, what was my name again?", "Priya"),
        (["hi! i'm Tomás"], "Who am I?", "Tomás"),
        (["I am Grace Hopper."], "tell me my name please", "Grace Hopper"),
        (["Please call me Skip"], "What should you call me?", "Skip"),
        (["my name's Wei and I'm from Chengdu"], "what is my name", "Wei"),
        (["This is Marguerite, nice to meet you"], "Do you remember my name?", "Marguerite"),
        (["Can you remember that my name is Ola?"], "Say my name", "Ola"),
        (["I'm Bea from Lisbon"], "where am I from?", "Lisbon"),
        (["My name is Dr. Otto von Stein."], "I forgot, what's my name?", "Dr. Otto von Stein"),
        # corrections
        (["My name is Tom", "Actually, my name is Tim."], "What's my name?", "Tim"),
        (["I'm Ann", "Sorry, I meant Anna"], "what's my name?", "Anna"),
        (["My name is Jon", "No, it's Jan."], "who am i?", "Jan"),
        (["My favourite fruit is a pear.", "Wait, make that a plum"], "What's my favourite fruit?", "plum"),
        (["My name is not Bob but Rob."], "What is my name?", "Rob"),
        (["My cat is called Mo.", "My cat is now called Jo"], "What is my cat called?", "Jo"),
        (["I live in Rome.", "I moved to Oslo last year."], "Where do I live?", "Oslo"),
        (["My name is Al, not Hal."], "What's my name?", "Your name is Al."),
        # attributes
        (["My favorite colour is teal."], "Which is my favourite color?", "teal"),
        (["my favourite food is ramen!!"], "remind me of my favorite food", "ramen"),
        (["My wife's birthday is 3 May."], "When is my wife's birthday?", "3 May"),
        (["My phone number is 555-1234"], "What's my phone number?", "555-1234"),
        (["My car is red."], "What colour is my car?", "red"),
        (["My eyes are brown"], "What color are my eyes?", "brown"),
        (["Our server is called Zeus."], "What is our server called?", "Zeus"),
        (["I have a parrot named Kiwi"], "What is the name of my parrot?", "Kiwi"),
        (["The name of my boat is Argo"], "What's my boat's name?", "Argo"),
        (["My email: ada@example.org"], "what is my email", "ada@example.org"),
        (["My shoe size is 43 and my hat size is 58."], "What's my hat size?", "58"),
        (["My brother is a pilot; my sister is a vet."], "What is my sister?", "vet"),
        # the user's life
        (["I live in Quito"], "Which city do I live in?", "Quito"),
        (["I'm 41 years old."], "How old am I?", "41"),
        (["I work as a welder"], "What do I do for a living?", "welder"),
        (["I work at the zoo."], "Where do I work?", "zoo"),
        (["I was born in 1990"], "When was I born?", "1990"),
        (["I love hiking.", "I also like jazz."], "What do I like?", "hiking and you like jazz"),
        (["I have two goats"], "What animals do I have?", "two goats"),
        (["I speak Basque"], "Which languages do I speak?", "Basque"),
        (["I'm allergic to peanuts."], "What am I allergic to?", "peanuts"),
        (["I don't like olives"], "Do I like olives?", "No, you do not like olives"),
        (["I play the oboe."], "Do I play the oboe?", "Yes"),
        (["I am vegetarian"], "Am I vegetarian?", "Yes"),
        (["My grandpa calls me Pip."], "Who am I?", "Pip"),
        (["Name: Oda\nCity: Bonn"], "Where do I live, and what's my name?", "Oda"),
        (["My family name is Okafor"], "What is my surname?", "Okafor"),
        (["I am meeting my aunt at noon"], "What do you know about me?", "you are meeting your aunt at noon"),
        (["My hen is called Hedda."], "Is my hen called Hedda?", "Yes, your hen's name is Hedda."),
        (["My shirt is blue."], "Is my shirt red?", "No, your shirt is blue."),
        (["I'm Mira."], "Am I Mona?", "No, your name is Mira."),
        # the world
        (["The capital of Freedonia is Glorptown."], "What is the capital of Freedonia?", "Glorptown"),
        (["Remember that the code word is walrus."], "What's the code word?", "walrus"),
        (["Please remember: the gate opens at dawn."], "When does the gate open?", "dawn"),
        (["Don't forget the number 8128."], "Which number was it that you should not forget?", "8128"),
        (["Bob's desk is on the third floor."], "Where is Bob's desk?", "third floor"),
        (["My aunt Petra sells umbrellas in Graz."], "What does aunt Petra sell?", "umbrellas"),
        (["We leave on Sunday. The train departs at 9:15."], "when does the train depart", "9:15"),
        # two in one
        (["My name is Lou and I live in Nice."], "What is my name and where do I live?", "Nice"),
    ],
)
def test_what_was_said_is_recalled(said: list[str], question: str, expected: str) -> None:
    assert expected in talk(*said, "What is 2 + 2?", question)


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("What's my name?", "You have not told me your name."),
        ("Where do I live?", "You have not told me where you live."),
        ("What is my favourite colour?", "You have not told me your favourite colour."),
        ("Do you know my shoe size?", "You have not told me your shoe size."),
        ("How old am I?", "You have not told me your age."),
        ("What do you know about me?", "You have not told me anything"),
        ("Do I like tea?", "You have not told me whether you like tea."),
    ],
)
def test_what_was_not_said_is_not_made_up(question: str, missing: str) -> None:
    assert missing in talk("Good morning!", question)


def test_a_question_about_the_world_is_not_answered() -> None:
    answer = talk("What is the capital of France?")
    assert "Paris" not in answer
    assert "offline model" in answer


@pytest.mark.parametrize(
    ("statement", "acknowledgement"),
    [
        ("My name is Nils.", "Nice to meet you, Nils."),
        ("My favourite colour is green.", "Noted: your favourite colour is green."),
        ("I live in Turin and I like snow.", "Noted: you live in Turin and you like snow."),
        ("Remember the milk.", "Noted: the milk."),
        ("The password is hunter2", "Noted: the password is hunter2."),
    ],
)
def test_statements_are_acknowledged(statement: str, acknowledgement: str) -> None:
    assert talk(statement) == acknowledgement


def test_a_corrected_name_is_acknowledged_without_greeting_again() -> None:
    assert talk("My name is Nils.", "Actually it's Niels.") == "Noted: your name is Niels."


def test_what_is_taken_back_is_forgotten() -> None:
    assert "not told me" in talk("My email is a@b.example.", "Please forget my email.", "What is my email?")


def test_the_last_statement_can_be_taken_back() -> None:
    assert "not told me" in talk("I live in Bath.", "My email is a@b.example.", "Forget that.", "What is my email?")
    assert "Bath" in talk("I live in Bath.", "My email is a@b.example.", "Forget that.", "Where do I live?")


def test_everything_known_is_listed_in_the_order_of_the_last_statements() -> None:
    answer = talk("I'm Uma.", "I live in Pune.", "My dog is called Bo.", "I live in Goa.", "What do you know about me?")
    assert answer == "You have told me that your name is Uma, your dog's name is Bo and you live in Goa."


@pytest.mark.parametrize(
    "text",
    [
        "The user's name is Ines.",
        "You help people. The user's name is Ines. Be brief.",
        "User name: Ines",
        "- user's name: Ines\n- speaks Greek",
        "Summary of the conversation so far: The user said that their name is Ines.",
        "user: My name is Ines\nassistant: Nice to meet you, Ines.",
        "The user is called Ines.",
    ],
)
def test_what_others_wrote_about_the_user_counts(text: str) -> None:
    question = user("What's my name?")
    assert "Ines" in _answer([system(text), question]).text
    assert "Ines" in _answer([developer(text), question]).text
    assert "Ines" in _answer([question], text).text


def test_instructions_may_tell_more_than_a_name() -> None:
    told = "The user lives in Bern. User's favourite colour: green. The user likes tea and has two cats."
    assert "Bern" in talk("where do i live?", instructions=told)
    assert "green" in talk("what's my favourite color?", instructions=told)
    assert "tea" in talk("what do I like?", instructions=told)
    assert "two cats" in talk("what pets do I have?", instructions=told)


def test_what_the_assistant_said_is_not_a_fact_of_the_user() -> None:
    messages = [user("Hello"), assistant("My name is Clippy. I live in Redmond."), user("What's my name?")]
    assert "Clippy" not in _answer(messages).text


def test_a_name_given_to_the_assistant_is_not_the_users() -> None:
    assert "not told me your name" in talk("Your name is Marvin.", "What's my name?")
    assert "Marvin" in talk("Your name is Marvin.", "What's your name?")


def test_all_text_parts_of_a_message_are_read() -> None:
    parts = user(Text(text="My name is Zoë."), Text(text="I live in Ghent."))
    assert "Zoë" in _answer([parts, assistant("ok"), user("What's my name?")]).text
    assert "Ghent" in _answer([parts, assistant("ok"), user("Where do I live?")]).text


def test_an_edited_history_gives_another_answer() -> None:
    assert talk("My name is Eve.", "What's my name?") != talk("My name is Ava.", "What's my name?")


@pytest.mark.parametrize(
    "text",
    [
        "What is my name?",
        "Is my name Bob?",
        "Tell me a story.",
        "I wonder.",
        "What if my name is Bob?",
        "",
    ],
)
def test_these_state_no_fact(text: str) -> None:
    assert list(facts_in(text)) == []


def test_the_last_statement_of_a_fact_holds() -> None:
    known = gather(facts_in("My favourite colour is red. My favorite color is blue."))
    assert [fact.value for fact in known.values()] == ["blue"]
