"""The window over many turns of a real conversation: the built-in model, or a scripted one, over a real store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

import upstream_responses
from multiturn import Agent, Conversation, tool
from multiturn.context.policies import KeepAll, LastTurns, PinFirst, Policy, Shorten, Summarise
from multiturn.context.view import SUMMARY_OPENS
from multiturn.context.window import Window
from multiturn.errors import ContextOverflow, EmptyAnswer, InvalidInput, NotFound, ProviderFailed, TooLong
from multiturn.events import RunNotice
from multiturn.messages import Message, Origin, Text, Usage, user
from multiturn.request import Request, Settings
from multiturn.turns import Mark, TurnStatus
from scripted import ScriptedModel, calling, in_turn, message

SMALL = Window(context_tokens=600, reserve_tokens=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


def chatter(chat: Conversation, turns: int) -> None:
    for n in range(turns):
        chat.send(f"Write 15 words about the number {n}.")


def codes(chat: Conversation) -> list[str]:
    return [notice.code for turn in chat.turns for notice in turn.notices]


class Counting(ScriptedModel):
    """Reports 10 tokens a message, and the given answer."""

    def __init__(self, reply: Callable[[Request], str | Message | Exception] = lambda request: "well") -> None:
        def counted(request: Request) -> str | Message | Exception:
            said = reply(request)
            if isinstance(said, Exception):
                return said
            whole = message(said) if isinstance(said, str) else said
            usage = Usage(input_tokens=10 * len(request.messages), output_tokens=10)
            return Message(whole.role, whole.parts, origin=whole.origin, usage=usage, finish_reason=whole.finish_reason)

        super().__init__(counted)


def words(request: Request) -> list[str]:
    return [each.text for each in request.messages]


# --- left out ---------------------------------------------------------------------------------------------------------


def test_a_long_conversation_never_fails_and_is_shown_within_its_budget(url: str) -> None:
    model = Counting()
    chat = Conversation(model, store=url, window=Window(context_tokens=200, reserve_tokens=0))
    for n in range(60):
        chat.send(f"{n}")
    assert max(len(request.messages) for request in model.requests) <= 20
    assert len(chat.history) == 120  # nothing was lost
    assert [message.text for message in chat.history[::2]] == [f"{n}" for n in range(60)]
    assert 5 <= len([code for code in codes(chat) if code == "trimmed"]) <= 15


def test_a_cut_is_told_while_it_happens_and_kept_with_the_turn(url: str) -> None:
    chat = Conversation(Counting(), store=url, window=Window(context_tokens=100, reserve_tokens=0))
    events = [event for n in range(6) for event in chat.stream(f"{n}")]
    notices = [event.notice for event in events if isinstance(event, RunNotice)]
    assert [notice.code for notice in notices] == ["trimmed"]
    assert notices[0].text == "the first 3 turns are no longer shown to the model (111 tokens, of 100)"
    assert [turn.notices for turn in chat.turns if turn.notices] == [(notices[0],)]
    assert [turn.window for turn in chat.turns if turn.window] == [Mark(skipped=3)]


def test_cuts_are_the_same_for_every_process_fork_and_edit(url: str) -> None:
    model = Counting()
    window = Window(context_tokens=100, reserve_tokens=0)
    chat = Conversation(model, store=url, id="c", window=window)
    for n in range(6):
        chat.send(f"{n}")
    there = words(model.requests[-1])
    again = Conversation(model, store=url, id="c", window=window)  # as in another process
    again.send("next")
    assert words(model.requests[-1]) == [*there, "well", "next"]
    fork = again.fork()
    fork.send("elsewhere")
    assert words(model.requests[-1]) == [*there, "well", "next", "well", "elsewhere"]
    chat.edit(chat.turns[2].id, "2, otherwise")
    assert words(model.requests[-1]) == ["0", "well", "1", "well", "2, otherwise"]


def test_a_failed_turn_leaves_the_window_as_it_was(url: str) -> None:
    fails = [ProviderFailed("down")]
    model = Counting(
        lambda request: fails.pop() if len(request.messages) < 8 and words(request)[-1] == "5" and fails else "well"
    )
    chat = Conversation(model, store=url, window=Window(context_tokens=100, reserve_tokens=0))
    for n in range(5):
        chat.send(f"{n}")
    with pytest.raises(ProviderFailed):
        chat.send("5")
    assert chat.latest is not None
    assert chat.latest.window == Mark(skipped=3)
    assert chat.turns[-1].window is None
    assert chat.retry().text == "well"
    assert words(model.requests[-1]) == words(model.requests[-2])


def test_turns_that_leave_the_window_alone_say_nothing_of_it(url: str) -> None:
    chat = Conversation("offline", store=url)
    chatter(chat, 3)
    assert all(turn.window is None and turn.aside is None for turn in chat.turns)


def test_a_message_that_is_too_long_is_refused_before_anything_is_stored_or_sent(url: str) -> None:
    model = ScriptedModel()
    chat = Conversation(model, store=url, window=SMALL)
    with pytest.raises(TooLong, match="takes 600 beside its answer") as caught:
        chat.send("word " * 2000)
    assert caught.value.tokens > 2000
    assert chat.latest is None
    assert model.requests == []


def test_as_many_turns_as_one_likes() -> None:
    model = Counting()
    chat = Conversation(model, window=Window(policy=LastTurns(5)))
    for n in range(30):
        chat.send(f"{n}")
    shown = [len(request.path.turns) for request in model.requests]
    assert max(shown) == 5
    assert min(shown[6:]) == 3


def test_everything_is_shown_where_that_is_wanted() -> None:
    model = Counting()
    chat = Conversation(model, window=Window(policy=KeepAll(), context_tokens=50, reserve_tokens=0))
    for n in range(20):
        chat.send(f"{n}")
    assert len(model.requests[-1].messages) == 39


# --- pins -------------------------------------------------------------------------------------------------------------


def test_what_was_pinned_is_never_forgotten(url: str) -> None:
    chat = Conversation("offline", store=url, id="c", window=SMALL)
    chat.send("My name is Alice.", pin=True)
    second = chat.send("My cat is called Tom.")
    chat.send("My dog is called Rex.")
    chat.pin(second.turn.id)
    chatter(chat, 40)
    for again in (chat, Conversation(store=url, id="c", window=SMALL), chat.fork()):
        assert again.send("What's my name?").text == "Your name is Alice."
        assert again.send("What is my cat called?").text == "Your cat's name is Tom."
        assert "Rex" not in again.send("What is my dog called?").text


def test_what_is_no_longer_pinned_is_left_out_like_the_rest() -> None:
    chat = Conversation("offline", window=SMALL)
    first = chat.send("My name is Alice.", pin=True)
    chat.unpin(first.turn.id)
    chatter(chat, 40)
    assert "Alice" not in chat.send("What's my name?").text


def test_a_pin_is_kept_before_anything_else_is_said(url: str) -> None:
    chat = Conversation("offline", store=url, id="c", window=SMALL)
    first = chat.send("My name is Alice.")
    chat.pin(first.turn.id)
    again = Conversation("offline", store=url, id="c", window=SMALL)
    chatter(again, 40)
    assert again.send("What's my name?").text == "Your name is Alice."
    assert again.retry().text == "Your name is Alice."


def test_only_what_was_said_here_can_be_pinned() -> None:
    chat = Conversation("offline")
    chat.send("hi")
    with pytest.raises(NotFound):
        chat.pin("turn_elsewhere")


async def test_a_turn_that_was_cut_short_keeps_its_pin(url: str) -> None:
    chat = Conversation("offline", store=url, window=SMALL)
    async with aclosing(chat.astream("My name is Alice.", pin=True)) as events:
        async for event in events:
            if event.text:
                break  # as if the reader had gone
    for n in range(40):
        await chat.asend(f"Write 15 words about the number {n}.")
    assert (await chat.aturns())[0].status is TurnStatus.INCOMPLETE
    assert (await chat.asend("What's my name?")).text == "Your name is Alice."


def test_pins_that_do_not_fit_together_are_an_error_that_says_so() -> None:
    model = ScriptedModel(lambda request: Message("assistant", (Text("ok"),)))
    chat = Conversation(model, window=SMALL)
    for _ in range(3):
        chat.send("word " * 150, pin=True)
    with pytest.raises(TooLong, match="what cannot be left out"):
        chat.send("word " * 300)
    assert chat.send("hello").text == "ok"


# --- summaries --------------------------------------------------------------------------------------------------------


def test_facts_in_a_summary_are_still_known_after_many_cuts(url: str) -> None:
    chat = Conversation("offline", store=url, window=Window(context_tokens=900, reserve_tokens=0, policy=Summarise()))
    chat.send("My name is Alice. My cat is called Tom.")
    chatter(chat, 80)
    assert codes(chat).count("summarised") >= 3
    assert chat.send("What is my cat called?").text == "Your cat's name is Tom."
    assert "My name is Alice" in chat.history[0].text


def test_another_model_may_write_the_summaries() -> None:
    writer = Counting(lambda request: "They counted.")
    model = Counting()
    window = Window(context_tokens=100, reserve_tokens=0, policy=Summarise(writer, "In short?"))
    chat = Conversation(model, window=window, instructions="Be brief.")
    for n in range(6):
        chat.send(f"{n}")
    (asked,) = writer.requests
    assert words(asked)[0] == "0"
    assert words(asked)[-1] == "In short?"
    assert asked.instructions == "Be brief."
    assert words(model.requests[-1])[0].startswith(SUMMARY_OPENS)
    assert chat.turns[-1].aside == writer_usage(asked)
    assert chat.usage.input_tokens == sum(10 * len(request.messages) for request in (*model.requests, asked))


def writer_usage(request: Request) -> Usage:
    return Usage(input_tokens=10 * len(request.messages), output_tokens=10)


def test_the_tokens_of_a_summary_are_counted_once_and_kept(url: str) -> None:
    window = Window(
        context_tokens=100, reserve_tokens=0, policy=Summarise(Counting(lambda request: "They counted."), "In short?")
    )
    chat = Conversation(Counting(), store=url, id="c", window=window)
    for n in range(6):
        chat.send(f"{n}")
    again = Conversation(store=url, id="c")
    assert [turn.usage for turn in again.turns] == [turn.usage for turn in chat.turns]
    assert again.turns[-1].output[-1].usage == chat.turns[-1].output[-1].usage
    assert again.turns[-1].window == Mark(skipped=3, summary="They counted.")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "the model wrote none"),
        ("   ", "the model wrote none"),
        ("word " * 500, "tokens in the place of"),
        (ProviderFailed("down"), "ProviderFailed: down"),
    ],
)
def test_a_summary_that_helps_nobody_is_not_used(said: str | Exception, problem: str) -> None:
    model = Counting()
    window = Window(context_tokens=100, reserve_tokens=0, policy=Summarise(Counting(lambda request: said), "In short?"))
    chat = Conversation(model, window=window)
    for n in range(6):
        chat.send(f"{n}")
    assert codes(chat) == ["trimmed"]
    assert problem in chat.turns[-1].notices[0].text
    assert words(model.requests[-1])[0] == "3"


def test_a_summary_that_fails_leaves_the_last_one_in_place() -> None:
    answers = iter(["They counted.", ""])
    writer = Counting(lambda request: next(answers, ""))
    model = Counting()
    chat = Conversation(
        model, window=Window(context_tokens=100, reserve_tokens=0, policy=Summarise(writer, "In short?"))
    )
    for n in range(20):
        chat.send(f"{n}")
    assert codes(chat)[:2] == ["summarised", "trimmed"]
    assert "They counted." in words(model.requests[-1])[0]
    assert "They counted." in words(writer.requests[1])[0]  # it was carried on


def test_first_pinned_middle_summarised_recent_kept() -> None:
    chat = Conversation("offline", window=Window(context_tokens=700, reserve_tokens=0, policy=PinFirst(1)))
    chat.send("My name is Alice.")
    chat.send("My cat is called Tom.")
    chatter(chat, 40)
    assert chat.send("What's my name?").text == "Your name is Alice."
    assert chat.send("What is my cat called?").text == "Your cat's name is Tom."
    parts = dict(chat.window().parts())
    assert parts["pinned"] > 0
    assert parts["summary"] > 0


def test_summarise_and_reset_survives_later_cuts(url: str) -> None:
    chat = Conversation("offline", store=url, id="c", window=SMALL)
    chat.send("My name is Alice. My cat is called Tom.")
    chatter(chat, 5)
    summary = chat.summarize_and_reset()
    assert "Alice" in summary
    assert chat.window().history == 0
    chatter(chat, 40)
    again = Conversation(store=url, id="c", window=SMALL)
    assert again.send("What is my cat called?").text == "Your cat's name is Tom."
    assert "My name is Alice" in again.history[0].text
    assert summary in [message.text for message in again.history]
    assert chat.latest is not None


def test_nothing_is_reset_without_a_summary() -> None:
    chat = Conversation("offline")
    with pytest.raises(InvalidInput, match="nothing to summarise"):
        chat.summarize_and_reset()
    model = Counting(lambda request: "" if words(request)[-1] == "In short?" else "well")
    chat = Conversation(model)
    chat.send("hello")
    with pytest.raises(EmptyAnswer):
        chat.summarize_and_reset(words="In short?")
    chat.send("still there?")
    assert words(model.requests[-1]) == ["hello", "well", "still there?"]


# --- tools ------------------------------------------------------------------------------------------------------------


@tool
def look(at: int) -> str:
    """What is there."""
    return f"{at} " * 300


def test_results_that_pile_up_in_one_turn_do_not_end_it() -> None:
    steps = [calling((f"c{n}", "look", f'{{"at":{n}}}')) for n in range(8)]
    answers = iter([Message(step.role, step.parts) for step in steps])
    model = ScriptedModel(lambda request: next(answers, "seen"))
    chat = Conversation(model, tools=[look], window=Window(context_tokens=1600, reserve_tokens=0))
    reply = chat.send("look around")
    assert reply.text == "seen"
    assert len(reply.turn.output) == 17
    shown = [result.text for message in model.requests[-1].messages for result in message.tool_results]
    assert "left out" in shown[0]
    assert 2 <= len(shown) < 8
    assert all("left out" not in r.text for message in reply.new_messages for r in message.tool_results)
    assert chat.send("and?").text == "seen"


def test_ids_that_come_again_are_told_apart() -> None:
    model = ScriptedModel(in_turn(calling(("call_0", "look", '{"at":1}')), "seen"))
    chat = Conversation(model, tools=[look])
    chat.send("look")
    chat.send("look again")
    ids = [call.call_id for message in model.requests[-1].messages for call in message.tool_calls]
    assert len(set(ids)) == 2
    assert [call.call_id for message in chat.history for call in message.tool_calls] == ["call_0", "call_0"]


# --- recovery ---------------------------------------------------------------------------------------------------------


def refusing(most: int) -> Counting:
    """A provider that takes so many messages."""
    return Counting(
        lambda request: (
            ContextOverflow(f"{len(request.messages)} are too many") if len(request.messages) > most else "well"
        )
    )


def test_an_overflow_is_answered_by_one_smaller_request() -> None:
    model = refusing(9)
    chat = Conversation(model)
    for n in range(30):
        assert chat.send(f"{n}").text == "well"
    assert codes(chat)[0] == "trimmed"
    refused = [request for request in model.requests if len(request.messages) > 9]
    assert len(refused) == 1  # it has learned


def test_what_an_overflow_has_taught_is_kept_with_the_turns(url: str) -> None:
    chat = Conversation(refusing(9), store=url, id="c")
    for n in range(6):
        chat.send(f"{n}")
    model = refusing(9)
    again = Conversation(model, store=url, id="c")
    again.send("more")
    assert len(model.requests) == 1


def test_a_second_overflow_is_the_error_of_the_provider(url: str) -> None:
    model = Counting(lambda request: ContextOverflow("never") if words(request)[-1] == "4" else "well")
    chat = Conversation(model, store=url)
    for n in range(4):
        chat.send(f"{n}")
    with pytest.raises(ContextOverflow, match="never"):
        chat.send("4")
    assert len(model.requests) == 6
    assert chat.latest is not None
    assert chat.latest.status is TurnStatus.FAILED
    assert chat.send("5").text == "well"


def test_an_overflow_with_nothing_to_leave_out_is_the_error_at_once() -> None:
    model = Counting(lambda request: ContextOverflow("never"))
    with pytest.raises(ContextOverflow):
        Conversation(model).send("hello")
    assert len(model.requests) == 1


# --- looking at it ----------------------------------------------------------------------------------------------------


def test_the_window_tells_what_the_next_request_will_hold() -> None:
    chat = Conversation("offline", instructions="Be brief.", tools=[look], window=Window(context_tokens=2000))
    chat.send("My name is Alice.", pin=True)
    chatter(chat, 3)
    held = chat.window("And now?")
    assert held.context == 2000
    assert held.reserve == 250
    assert held.budget == 1750
    assert held.turns == 4
    assert held.skipped == 0
    assert all(getattr(held, part) > 0 for part in ("instructions", "tools", "pinned", "history", "new"))
    assert held.free == held.budget - held.used
    assert held.fits
    lines = str(held).splitlines()
    assert lines[0].startswith(f"offline: {held.used} tokens of 1,750 (")
    assert len(lines[1]) == 62
    assert [line.split()[1] for line in lines[2:]] == [
        "instructions", "tools", "pinned", "history", "new", "free", "reserve",
    ]  # fmt: skip


def test_the_count_is_what_the_provider_then_reports() -> None:
    chat = Conversation(Counting(), window=SMALL)
    for n in range(5):
        chat.send(f"{n}")
    held = chat.window("more")
    reply = chat.send("more")
    assert abs(held.used - reply.usage.input_tokens) <= 10


def test_fits_says_whether_more_would_have_to_go() -> None:
    chat = Conversation(Counting(), window=SMALL)
    assert chat.fits("hello")
    assert not chat.fits("word " * 1000)
    assert chat.latest is None


def test_an_unknown_model_has_no_limit() -> None:
    held = Conversation(ScriptedModel()).window("hello")
    assert (held.context, held.budget, held.free) == (None, None, None)
    assert "of nobody knows how many" in str(held)
    assert held.fits


# --- agents -----------------------------------------------------------------------------------------------------------


def test_an_agent_leaves_out_what_a_conversation_would() -> None:
    model = Counting()
    agent = Agent(model, window=Window(context_tokens=120, reserve_tokens=0))
    messages: list[Message] = []
    for n in range(40):
        messages = agent.run(f"{n} and a few words more", messages=messages).messages
    assert len(messages) == 80
    shown = [len(request.messages) for request in model.requests]
    assert max(shown) < 25
    grew = sum(later == earlier + 2 for earlier, later in pairwise(shown))
    assert grew > 25  # in strides, not with every run


@pytest.mark.parametrize("policy", [Summarise(), Shorten(Summarise()), PinFirst(2, then=Shorten(Summarise()))])
def test_any_policy_holds_a_conversation_with_tools(policy: Policy) -> None:
    @tool
    def stock(item: str) -> str:
        """How many pieces of an item are in stock."""
        return f"{len(item)} pieces. " + "Shelf and row are given on the label. " * 20

    chat = Conversation("offline", tools=[stock], window=Window(context_tokens=1500, policy=policy))
    chat.send("My name is Alice.")
    for n in range(40):
        chat.send("What is the stock of robots?" if n % 4 == 0 else f"Write 15 words about the number {n}.")
    assert chat.send("What's my name?").text == "Your name is Alice."
    assert chat.window().fits


def test_settings_for_a_providers_own_compaction_go_through() -> None:
    model = ScriptedModel()
    extra = {"context_management": [{"type": "compaction", "compact_threshold": 100_000}]}
    Conversation(model, settings=Settings(extra=extra)).send("hi")
    assert model.requests[0].settings.extra == extra


def test_the_origin_of_an_answer_decides_whose_count_it_is() -> None:
    chat = Conversation(Counting(), window=SMALL)
    said = Message("assistant", (Text("x"),), origin=Origin("elsewhere"), usage=Usage(input_tokens=590))
    chat.send([user("before"), said, user("now")])
    assert codes(chat) == []


def test_five_hundred_turns_with_tools_in_four_thousand_tokens(url: str) -> None:
    """Never an error, and what was pinned, and what a summary says, is known to the end."""

    @tool
    def get_stock(item: str) -> dict[str, int | str]:
        """How many pieces of an item are in stock."""
        return {"pieces": len(item), "place": f"shelf {len(item)}, below the {item}s of last year, behind the door"}

    window = Window(context_tokens=4096, policy=Summarise())
    chat = Conversation("offline", store=url, id="long", instructions="Be brief.", tools=[get_stock], window=window)
    chat.send("My name is Alice.", pin=True)
    chat.send("My cat is called Tom. My favourite colour is green.")
    things = ("robot", "easel", "kettle", "lantern", "compass")
    for n in range(498):
        thing = things[n % len(things)]
        asked = f"What is the stock of the {thing}?" if n % 3 == 0 else f"Write 40 words about {thing} number {n}."
        reply = chat.send(asked)
        assert reply.status is TurnStatus.COMPLETED
        assert reply.usage.input_tokens < 2 * 4096  # two calls, where there is a tool
        if n % 3 == 0:
            assert f"shelf {len(thing)}" in reply.text
    assert len(chat.turns) == 500
    assert codes(chat).count("summarised") > 5
    again = Conversation(store=url, id="long", window=window)
    assert again.send("What's my name?").text == "Your name is Alice."
    assert again.send("What is my cat called?").text == "Your cat's name is Tom."
    assert again.send("What is my favourite colour?").text == "Your favourite colour is green."
    held = again.window()
    assert held.fits
    assert held.summary > 0
    assert held.pinned > 0
    assert held.skipped > 400
    assert again.history[0].text == "My name is Alice."


def test_a_provider_that_keeps_the_state_is_sent_all_at_a_cut_and_then_only_what_is_new() -> None:
    with upstream_responses.ResponsesUpstream(upstream_responses.Provider()) as upstream:
        window = Window(policy=LastTurns(6))
        chat = Conversation("openai:gpt-5-mini", api="responses", base_url=upstream.url, api_key="x", window=window)
        for n in range(20):
            chat.send(f"{n}")
        sent = [request.json for request in upstream.requests]
        cut_at = [n for n, turn in enumerate(chat.turns) if turn.window]
        assert cut_at
        whole = [n for n, body in enumerate(sent) if "previous_response_id" not in body]
        assert whole == [0, *cut_at]
        assert all(len(body["input"]) == 1 for n, body in enumerate(sent) if n not in whole)
        assert all(1 < len(sent[n]["input"]) < 2 * n for n in cut_at)
